// What a person must hear of. Each rule's query lies in queries/ and can be run by hand in the Logs blade of the
// Application Insights resource; what to do about each stands in docs/operations.md.

@description('Begins the name of each rule.')
param name string
@description('The region of the Application Insights resource.')
param location string
@description('Set on every resource that can have them.')
param tags { *: string }
@description('Of the Application Insights resource.')
param insightsId string
@description('Where alerts are mailed; empty for nowhere.')
param email string
@description('An address that alerts are posted to; empty for none.')
@secure()
param webhook string
@description('Hours without mail after which a connection that usually has some is named; 0 for no such alert.')
param quietHours int

@description('Whether alerts are mailed.')
var hasEmail = !empty(email)
@description('Whether alerts are posted.')
var hasWebhook = !empty(webhook)

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (hasEmail || hasWebhook) {
  name: '${name}-alerts'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: take(name, 12)
    enabled: true
    emailReceivers: hasEmail ? [{ name: 'on-duty', emailAddress: email, useCommonAlertSchema: true }] : []
    webhookReceivers: hasWebhook ? [{ name: 'webhook', serviceUri: webhook, useCommonAlertSchema: true }] : []
  }
}

@description('`lookBack` is what the query sees; `splitBy` makes an alert of its own for each set of these values, which mail and webhook then carry.')
var allRules = [
  {
    name: 'connections-failing'
    description: 'Connections whose polls have failed for 15 minutes and have not succeeded once.'
    severity: 2
    query: loadTextContent('queries/connections-failing.kql')
    window: 'PT15M'
    lookBack: 'PT15M'
    every: 'PT5M'
    measure: 'failed'
    operator: 'GreaterThan'
    threshold: 0
    splitBy: ['customer', 'connection', 'sentence']
  }
  {
    name: 'quiet-mailbox'
    description: 'Connections that usually have mail, are polled well and have had none for hours.'
    severity: 3
    query: replace(
      loadTextContent('queries/quiet-mailbox.kql'),
      'let quietHours = 24;',
      'let quietHours = ${quietHours};'
    )
    window: 'PT1H'
    lookBack: 'P2D'
    every: 'PT1H'
    measure: 'hoursWithoutMail'
    operator: 'GreaterThan'
    threshold: 0
    splitBy: ['customer', 'connection']
  }
  {
    name: 'no-successful-poll'
    description: 'Not one poll has succeeded in an hour: the app, its storage or its network is down.'
    severity: 0
    query: loadTextContent('queries/no-successful-poll.kql')
    window: 'PT1H'
    lookBack: 'PT1H'
    every: 'PT15M'
    measure: 'polls'
    operator: 'LessThan'
    threshold: 1
    splitBy: []
  }
  {
    name: 'undelivered'
    description: 'Mails that could not be sent wait for the next try.'
    severity: 2
    query: loadTextContent('queries/undelivered.kql')
    window: 'PT15M'
    lookBack: 'PT15M'
    every: 'PT5M'
    measure: 'mails'
    operator: 'GreaterThan'
    threshold: 0
    splitBy: ['customer', 'connection']
  }
  {
    name: 'abandoned'
    description: 'Mails that are no longer tried wait for a person to resend them.'
    severity: 1
    query: loadTextContent('queries/abandoned.kql')
    window: 'PT15M'
    lookBack: 'PT15M'
    every: 'PT15M'
    measure: 'mails'
    operator: 'GreaterThan'
    threshold: 0
    splitBy: ['customer', 'connection']
  }
  {
    name: 'poison-queue'
    description: 'Orders to poll that threw five times lie in email-polls-poison.'
    severity: 2
    query: loadTextContent('queries/poison-queue.kql')
    window: 'PT15M'
    lookBack: 'PT15M'
    every: 'PT15M'
    measure: 'orders'
    operator: 'GreaterThan'
    threshold: 0
    splitBy: []
  }
]
@description('Those that are wanted.')
var rules = filter(allRules, rule => rule.name != 'quiet-mailbox' || quietHours > 0)

resource alertRules 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in rules: {
    name: '${name}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: '${name}: ${rule.name}'
      description: rule.description
      severity: rule.severity
      enabled: true
      scopes: [insightsId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      overrideQueryTimeRange: rule.lookBack
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: rule.query
            metricMeasureColumn: rule.measure
            timeAggregation: 'Maximum'
            operator: rule.operator
            threshold: rule.threshold
            dimensions: [for column in rule.splitBy: { name: column, operator: 'Include', values: ['*'] }]
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: {
        actionGroups: hasEmail || hasWebhook ? [people.id] : []
      }
    }
  }
]
