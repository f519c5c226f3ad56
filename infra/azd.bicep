// For the Azure Developer CLI (`azd up`): makes the resource group and deploys main.bicep into it.

targetScope = 'subscription'

@description('The name of the azd environment; the resource group is named after it.')
@minLength(1)
@maxLength(60)
param environmentName string

@description('A region with Flex Consumption: az functionapp list-flexconsumption-locations')
param location string

@description('Object id of whoever runs azd: gets the roles of an operator.')
param operatorId string
@description('What operatorId is: User or ServicePrincipal.')
param operatorType string

@description('Where alerts are mailed; empty for nowhere.')
param alertEmail string

@description('By this tag azd knows what belongs to the environment.')
var tags = { 'azd-env-name': environmentName }

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module adapter 'main.bicep' = {
  scope: group
  params: {
    name: 'mailin'
    location: location
    tags: tags
    operatorId: operatorId
    operatorType: operatorType
    alertEmail: alertEmail
  }
}

// azd keeps each output as a variable of the environment, by this name.
@description('Name of the resource group.')
output AZURE_RESOURCE_GROUP string = group.name
@description('Name of the function app.')
output AZURE_FUNCTION_APP string = adapter.outputs.functionApp
@description('Name of the vault for secrets of mailboxes.')
output AZURE_KEY_VAULT string = adapter.outputs.keyVault
@description('Name of the storage account.')
output AZURE_STORAGE_ACCOUNT string = adapter.outputs.storageAccount
@description('Name of the Service Bus namespace.')
output AZURE_SERVICE_BUS_NAMESPACE string = adapter.outputs.serviceBusNamespace
