// What a person must hear of. Each rule's query lies in queries/ and can be run by hand in the Logs blade of the
// Application Insights resource; what to do about each stands in docs/operations.md.

param name string
param location string
@description('Of the Application Insights resource.')
param insightsId string
@description('Empty for alerts that nobody is mailed about.')
param email string

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: '${name}-alerts'
  location: 'global'
  properties: {
    groupShortName: take(name, 12)
    enabled: true
    emailReceivers: [
      { name: 'on-duty', emailAddress: email, useCommonAlertSchema: true }
    ]
  }
}

var rules = [
  {
    name: 'connections-failing'
    description: 'Connections whose polls have failed for 15 minutes and have not succeeded once.'
    severity: 2
    query: loadTextContent('queries/connections-failing.kql')
    window: 'PT15M'
    every: 'PT5M'
    measure: 'connections'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'no-successful-poll'
    description: 'Not one poll has succeeded in an hour: the app, its storage or its network is down.'
    severity: 0
    query: loadTextContent('queries/no-successful-poll.kql')
    window: 'PT1H'
    every: 'PT15M'
    measure: 'polls'
    operator: 'LessThan'
    threshold: 1
  }
  {
    name: 'undelivered'
    description: 'Mails that could not be sent wait for the next try.'
    severity: 2
    query: loadTextContent('queries/undelivered.kql')
    window: 'PT15M'
    every: 'PT5M'
    measure: 'mails'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'abandoned'
    description: 'Mails that are no longer tried wait for a person to resend them.'
    severity: 1
    query: loadTextContent('queries/abandoned.kql')
    window: 'PT15M'
    every: 'PT15M'
    measure: 'mails'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'poison-queue'
    description: 'Orders to poll that threw five times lie in email-polls-poison.'
    severity: 2
    query: loadTextContent('queries/poison-queue.kql')
    window: 'PT15M'
    every: 'PT15M'
    measure: 'orders'
    operator: 'GreaterThan'
    threshold: 0
  }
]

resource alertRules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${name}-${rule.name}'
    location: location
    kind: 'LogAlert'
    properties: {
      displayName: '${name}: ${rule.name}'
      description: rule.description
      severity: rule.severity
      enabled: true
      scopes: [insightsId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: rule.query
            metricMeasureColumn: rule.measure
            timeAggregation: 'Maximum'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: {
        actionGroups: empty(email) ? [] : [people.id]
      }
    }
  }
]
