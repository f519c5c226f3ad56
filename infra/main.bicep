// Everything the Email Inbound Adapter needs, in one resource group: a Flex Consumption function app with a
// managed identity and no key or connection string to storage or Service Bus anywhere. docs/deploy.md has the
// commands.

targetScope = 'resourceGroup'

@description('Begins the name of each resource; lower-case letters and digits, a letter first.')
@minLength(3)
@maxLength(11)
param name string

@description('A region with Flex Consumption: az functionapp list-flexconsumption-locations')
param location string = resourceGroup().location

@description('Set on every resource that can have them.')
param tags { *: string } = {}

@description('The line of Node.js; 22 ends in April 2027.')
@allowed(['22', '24'])
param nodeVersion string = '24'

@description('See docs/deploy.md, "Numbers to choose by".')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Polls in flight are at most 24 times this.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('How the storage account keeps its copies; ZRS is not in every region.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string = 'Standard_ZRS'

@description('EMAIL_QUEUE_NAME: the queue of connections that name none of their own.')
param queueName string = 'email-inbound'

@description('Standard takes messages of 256 KiB; Premium larger ones, with throughput of your own.')
@allowed(['Standard', 'Premium'])
param serviceBusSku string = 'Standard'

@description('EMAIL_MAX_MESSAGE_BYTES, and with Premium the limit of the queue too, which is 1 MiB at least. A queue on Standard takes 256 KiB, whatever stands here.')
@minValue(262144)
@maxValue(104857600)
param maxMessageBytes int = 4194304

@description('RETRY_MAX_AGE_HOURS. Below the seven days for which the queue remembers a messageId.')
@minValue(1)
@maxValue(167)
param retryMaxAgeHours int = 144

@description('Days after which payloads of large parts are deleted: longer than consumers and the resending of abandoned mails may take.')
@minValue(8)
param payloadRetentionDays int = 90

@description('JOURNAL: what the journal has of each mail.')
@allowed(['full', 'ids', 'off'])
param journal string = 'full'

@description('Days after which the journal is deleted.')
@minValue(1)
param journalRetentionDays int = 30

@description('MAIL_HOSTS_ALLOWED: mail servers that may be polled, separated by commas; empty for any.')
param mailHostsAllowed string = ''

@description('MAIL_DENY_PRIVATE_NETWORKS: true refuses mail servers at private addresses.')
param mailDenyPrivateNetworks bool = true

@description('MANAGED_IDENTITY_HOSTS: mail servers besides those of Microsoft that may get a token of the app.')
param managedIdentityHosts string = ''

@description('More app settings: those that connections name as secrets, as references to a Key Vault. A deployment removes settings that stand neither here nor below.')
param moreAppSettings { *: string } = {}

@description('Object id of the person or group that looks after the app: may write secrets, tables and queues, and read blobs. Empty for nobody.')
param operatorId string = ''

@description('What operatorId is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorType string = 'User'

@description('Where alerts are mailed; empty for nowhere.')
param alertEmail string = ''

@description('An address that alerts are posted to, in the common alert schema; empty for none.')
@secure()
param alertWebhook string = ''

@description('Hours without mail after which a connection that usually has some is named by an alert; 0 for no such alert.')
@minValue(0)
@maxValue(36)
param quietHours int = 24

@description('Days that telemetry is kept.')
@minValue(30)
@maxValue(730)
param telemetryRetentionDays int = 30

@description('Gigabytes of telemetry a day; beyond it the day has no more. -1 for no limit.')
param telemetryDailyCapGb int = 5

@description('Makes names unique over all of Azure, and the same in each deployment to this group.')
var suffix = take(uniqueString(resourceGroup().id, name), 8)
@description('Known before the app is there: role assignments are named after it.')
var appName = '${name}-${suffix}'
@description('Where the platform keeps what is published.')
var deploymentContainer = 'app-package'

@description('The app makes these too where they are missing.')
var containers = ['email-leases', 'email-payloads', 'email-undelivered', 'email-journal']
@description('The app makes these too where they are missing.')
var tables = ['EmailConnections', 'EmailDelivered', 'EmailUndelivered']

@description('Built-in roles of the app, by their ids.')
var roles = {
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  serviceBusDataSender: '69a216fc-b8eb-44d8-bc22-1f3c2cd27a39'
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
}
@description('Built-in roles of the person or group that looks after the app, by their ids.')
var operatorRoles = empty(operatorId)
  ? []
  : [
      // Key Vault Secrets Officer
      'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
      // Storage Table Data Contributor
      roles.storageTableDataContributor
      // Storage Queue Data Contributor
      roles.storageQueueDataContributor
      // Storage Blob Data Reader
      '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
    ]

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: '${name}${suffix}'
  location: location
  tags: tags
  sku: { name: storageSku }
  kind: 'StorageV2'
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: storage
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: deploymentContainer
}

resource appContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = [
  for container in containers: {
    parent: blobs
    name: container
  }
]

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' = {
  parent: storage
  name: 'default'

  resource orders 'queues' = {
    name: 'email-polls'
  }
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-01-01' = {
  parent: storage
  name: 'default'
}

resource appTables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-01-01' = [
  for table in tables: {
    parent: tableService
    name: table
  }
]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-01-01' = {
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
        {
          name: 'delete-old-email-journal'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              // A rule for append blobs can do nothing but delete, so it is one of its own.
              blobTypes: ['appendBlob']
              prefixMatch: ['email-journal/']
            }
            actions: {
              baseBlob: {
                delete: { daysAfterModificationGreaterThan: journalRetentionDays }
              }
            }
          }
        }
      ]
    }
  }
}

resource serviceBus 'Microsoft.ServiceBus/namespaces@2026-01-01' = {
  name: '${name}-bus-${suffix}'
  location: location
  tags: tags
  sku: { name: serviceBusSku, tier: serviceBusSku }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
  }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2026-01-01' = {
  parent: serviceBus
  name: queueName
  properties: {
    // Can't be changed once the queue is there.
    requiresDuplicateDetection: true
    // The longest there is; retryMaxAgeHours lies below it.
    duplicateDetectionHistoryTimeWindow: 'P7D'
    maxMessageSizeInKilobytes: serviceBusSku == 'Premium' ? max(1024, maxMessageBytes / 1024) : null
    lockDuration: 'PT1M'
    maxDeliveryCount: 10
    deadLetteringOnMessageExpiration: true
  }
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: '${name}-logs-${suffix}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: telemetryRetentionDays
    workspaceCapping: { dailyQuotaGb: telemetryDailyCapGb }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-insights-${suffix}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
  }
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: '${name}-kv-${suffix}'
  location: location
  tags: tags
  properties: {
    tenantId: subscription().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
  }
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: '${name}-plan-${suffix}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { tier: 'FlexConsumption', name: 'FC1' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: appName
  location: location
  // By this tag the Azure Developer CLI finds where to publish its service `adapter` (azure.yaml).
  tags: union(tags, { 'azd-service-name': 'adapter' })
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
    properties: union(moreAppSettings, {
      AzureWebJobsStorage__accountName: storage.name
      AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
      AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
      AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
      AzureWebJobsStorage__credential: 'managedidentity'
      ServiceBusConnection__fullyQualifiedNamespace: '${serviceBus.name}.servicebus.windows.net'
      ServiceBusConnection__credential: 'managedidentity'
      EMAIL_QUEUE_NAME: queueName
      EMAIL_MAX_MESSAGE_BYTES: string(maxMessageBytes)
      POLL_SCHEDULE: '0 * * * * *'
      RETRY_SCHEDULE: '30 * * * * *'
      RETRY_MAX_AGE_HOURS: string(retryMaxAgeHours)
      JOURNAL: journal
      MAIL_HOSTS_ALLOWED: mailHostsAllowed
      MAIL_DENY_PRIVATE_NETWORKS: toLower(string(mailDenyPrivateNetworks))
      MANAGED_IDENTITY_HOSTS: managedIdentityHosts
      SECRET_SETTINGS_PREFIX: 'MAILBOX_'
      SECRETS_VAULT: vault.properties.vaultUri
      SECRETS_VAULT_PREFIX: 'mailbox-'
      APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    })
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
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.storageQueueDataContributor
    )
  }
}

resource tableRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, appName, roles.storageTableDataContributor)
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.storageTableDataContributor
    )
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

// For secrets that connections name (`passwordVaultSecret` and so on), and for app settings that are references.
resource vaultRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, appName, roles.keyVaultSecretsUser)
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}

// On the resource group, so that the person sees what the roles are for in one place.
resource operator 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in operatorRoles: {
    name: guid(resourceGroup().id, name, operatorId, role)
    properties: {
      principalId: operatorId
      principalType: operatorType
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

module alerts 'alerts.bicep' = {
  params: {
    name: name
    location: location
    tags: tags
    insightsId: insights.id
    email: alertEmail
    webhook: alertWebhook
    quietHours: quietHours
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, name, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Email Inbound Adapter (${name})'
    category: 'workbook'
    sourceId: insights.id
    serializedData: loadTextContent('workbook.json')
  }
}

@description('Name of the function app.')
output functionApp string = app.name
@description('Host name of its page and API.')
output hostName string = app.properties.defaultHostName
@description('Name of the vault for secrets of mailboxes.')
output keyVault string = vault.name
@description('Name of the Service Bus namespace.')
output serviceBusNamespace string = serviceBus.name
@description('Name of the queue that connections have by default.')
output queue string = queue.name
@description('Name of the storage account.')
output storageAccount string = storage.name
@description('Name of the Application Insights resource.')
output applicationInsights string = insights.name
