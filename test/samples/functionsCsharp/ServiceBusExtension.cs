// What the sample uses of Microsoft.Azure.Functions.Worker.Extensions.ServiceBus, with that package's signatures.
using Azure.Messaging.ServiceBus;
using Microsoft.Azure.Functions.Worker.Extensions.Abstractions;

namespace Microsoft.Azure.Functions.Worker;

public sealed class ServiceBusTriggerAttribute(string queueName) : TriggerBindingAttribute
{
    public string QueueName => queueName;
    public string? Connection { get; set; }
    public bool AutoCompleteMessages { get; set; } = true;
}

public abstract class ServiceBusMessageActions
{
    public abstract Task CompleteMessageAsync(
        ServiceBusReceivedMessage message,
        CancellationToken cancellationToken = default);

    public abstract Task DeadLetterMessageAsync(
        ServiceBusReceivedMessage message,
        Dictionary<string, object>? propertiesToModify = default,
        string? deadLetterReason = default,
        string? deadLetterErrorDescription = default,
        CancellationToken cancellationToken = default);
}
