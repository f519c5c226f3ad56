using 'main.bicep'

// What is left out has the default that main.bicep gives it.
param name = 'mailin'
param nodeVersion = '24'
param instanceMemoryMB = 2048
param maximumInstanceCount = 40
param queueName = 'email-inbound'
param serviceBusSku = 'Standard'
param retryMaxAgeHours = 144
param payloadRetentionDays = 90
param journal = 'full'
param journalRetentionDays = 30
// Any; such as 'outlook.office365.com,*.example.com' to admit no others.
param mailHostsAllowed = ''
param mailDenyPrivateNetworks = true
param quietHours = 24
