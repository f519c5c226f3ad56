// Everything the Email Inbound Adapter needs, in one resource group: a Flex Consumption function app with a
// managed identity and no key or connection string to storage or Service Bus anywhere.
//
//   az deployment group create -g <group> -f infra/main.bicep -p infra/main.parameters.sample.json

targetScope = 'resourceGroup'

@description('Begins the name of each resource; lower-case letters and digits.')
@minLength(3)
@maxLength(11)
param name string

@description('A region with Flex Consumption: az functionapp list-flexconsumption-locations')
param location string = resourceGroup().location

@allowed(['22', '24'])
param nodeVersion string = '22'

@description('See docs/deploy.md, "Numbers to choose by".')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Polls in flight are at most 24 times this.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('The queue of connections that name none of their own.')
param queueName string = 'email-inbound'

@allowed(['Standard', 'Premium'])
param serviceBusSku string = 'Standard'

@description('How long Service Bus remembers a messageId. Longer than the retry waits, an hour, and than any outage that you want to be covered.')
param duplicateDetectionWindow string = 'P1D'

@description('Days after which payloads of large parts are deleted: longer than consumers and the resending of abandoned mails may take.')
@minValue(8)
param payloadRetentionDays int = 90

@description('RETRY_MAX_AGE_HOURS')
param retryMaxAgeHours int = 168

@description('Mail servers that may be polled, separated by commas; empty for any.')
param mailHostsAllowed string = ''

@description('true refuses mail servers at private addresses.')
param mailDenyPrivateNetworks bool = true

@description('Where alerts are mailed; empty for nowhere.')
param alertEmail string = ''

@description('Days that telemetry is kept.')
@minValue(30)
@maxValue(730)
param telemetryRetentionDays int = 30

@description('Gigabytes of telemetry a day; beyond it the day has no more. -1 for no limit.')
param telemetryDailyCapGb int = 5

var suffix = take(uniqueString(resourceGroup().id, name), 8)
var appName = '${name}-${suffix}'
var deploymentContainer = 'app-package'

// Built-in roles, by their ids.
var roles = {
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  serviceBusDataSender: '69a216fc-b8eb-44d8-bc22-1f3c2cd27a39'
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
}

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: '${name}${suffix}'
  location: location
  sku: { name: 'Standard_ZRS' }
  kind: 'StorageV2'
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

// The app makes its own tables, containers and queue at first use; only this one is the platform's.
resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: deploymentContainer
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = {
  parent: storage
  name: 'default'
  dependsOn: [blobs]
  properties: {
    policy: {
      rules: [
        {
          name: 'delete-old-email-payloads'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['email-payloads/']
            }
            actions: {
              baseBlob: {
                delete: { daysAfterModificationGreaterThan: payloadRetentionDays }
              }
            }
          }
        }
      ]
    }
  }
}

resource serviceBus 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: '${name}-bus-${suffix}'
  location: location
  sku: { name: serviceBusSku, tier: serviceBusSku }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
  }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = {
  parent: serviceBus
  name: queueName
  properties: {
    // Can't be changed once the queue is there.
    requiresDuplicateDetection: true
    duplicateDetectionHistoryTimeWindow: duplicateDetectionWindow
    lockDuration: 'PT1M'
    maxDeliveryCount: 10
    deadLetteringOnMessageExpiration: true
  }
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-logs-${suffix}'
  location: location
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: telemetryRetentionDays
    workspaceCapping: { dailyQuotaGb: telemetryDailyCapGb }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-insights-${suffix}'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
  }
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: '${name}-kv-${suffix}'
  location: location
  properties: {
    tenantId: subscription().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: '${name}-plan-${suffix}'
  location: location
  kind: 'functionapp'
  sku: { tier: 'FlexConsumption', name: 'FC1' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: appName
  location: location
  kind: 'functionapp,linux'
  identity: { type: 'SystemAssigned' }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${deploymentContainer}'
          authentication: { type: 'SystemAssignedIdentity' }
        }
      }
      runtime: { name: 'node', version: nodeVersion }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
      }
    }
  }
  dependsOn: [packages]

  resource settings 'config' = {
    name: 'appsettings'
    properties: {
      AzureWebJobsStorage__accountName: storage.name
      AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
      AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
      AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
      AzureWebJobsStorage__credential: 'managedidentity'
      ServiceBusConnection__fullyQualifiedNamespace: '${serviceBus.name}.servicebus.windows.net'
      ServiceBusConnection__credential: 'managedidentity'
      EMAIL_QUEUE_NAME: queueName
      POLL_SCHEDULE: '0 * * * * *'
      RETRY_SCHEDULE: '30 * * * * *'
      RETRY_MAX_AGE_HOURS: string(retryMaxAgeHours)
      MAIL_HOSTS_ALLOWED: mailHostsAllowed
      MAIL_DENY_PRIVATE_NETWORKS: toLower(string(mailDenyPrivateNetworks))
      APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    }
  }
}

// The Functions host asks for Owner on blobs; the app itself needs no more than Contributor.
resource blobRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, appName, roles.storageBlobDataOwner)
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataOwner)
  }
}

resource queueRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, appName, roles.storageQueueDataContributor)
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageQueueDataContributor)
  }
}

resource tableRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, appName, roles.storageTableDataContributor)
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageTableDataContributor)
  }
}

// On the namespace, since connections may name other queues in `queueName`; on `queue` where they don't.
resource senderRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: serviceBus
  name: guid(serviceBus.id, appName, roles.serviceBusDataSender)
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.serviceBusDataSender)
  }
}

// For app settings that are Key Vault references: mailbox passwords named by `passwordSetting` and so on.
resource vaultRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, appName, roles.keyVaultSecretsUser)
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  params: {
    name: name
    location: location
    insightsId: insights.id
    email: alertEmail
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, name, 'workbook')
  location: location
  kind: 'shared'
  properties: {
    displayName: 'Email Inbound Adapter (${name})'
    category: 'workbook'
    sourceId: insights.id
    serializedData: loadTextContent('workbook.json')
  }
}

output functionApp string = app.name
output hostName string = app.properties.defaultHostName
output keyVault string = vault.name
output serviceBusNamespace string = serviceBus.name
output storageAccount string = storage.name
