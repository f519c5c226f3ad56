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
param operatorType string

@description('Where alerts are mailed; empty for nowhere.')
param alertEmail string

// By this tag azd knows what belongs to the environment.
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
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_APP string = adapter.outputs.functionApp
output AZURE_KEY_VAULT string = adapter.outputs.keyVault
output AZURE_STORAGE_ACCOUNT string = adapter.outputs.storageAccount
output AZURE_SERVICE_BUS_NAMESPACE string = adapter.outputs.serviceBusNamespace
