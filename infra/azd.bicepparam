using 'azd.bicep'

// azd sets these; ALERT_EMAIL by `azd env set ALERT_EMAIL you@example.com`.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'mailin')
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param operatorId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param operatorType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')
param alertEmail = readEnvironmentVariable('ALERT_EMAIL', '')
