// A Functions app (isolated worker) that takes the messages of the email inbound adapter off a queue and checks them.
// Each part comes by itself; put a mail's parts together by interchangeId in a store of yours.
// App settings: ServiceBusConnection, PayloadStorageConnection, QUEUE_NAME.
using System.Security.Cryptography;
using Azure;
using Azure.Messaging.ServiceBus;
using Azure.Storage.Blobs;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;

namespace EmailConsumer;

public class ConsumeMails(BlobServiceClient payloads, ILogger<ConsumeMails> log)
{
    const string PayloadContainer = "email-payloads";

    // Bind the message, or bytes, and never a string: every body that is no UTF-8 would be damaged.
    // Throwing abandons the message; after the queue's maxDeliveryCount it is a dead letter.
    [Function(nameof(ConsumeMails))]
    public async Task Run(
        [ServiceBusTrigger("%QUEUE_NAME%", Connection = "ServiceBusConnection", AutoCompleteMessages = false)]
        ServiceBusReceivedMessage message,
        ServiceBusMessageActions actions,
        CancellationToken cancellation)
    {
        var p = message.ApplicationProperties;
        var claimCheck = p.TryGetValue("claimCheck", out var value) ? (string)value : null;
        ReadOnlyMemory<byte> bytes;
        try
        {
            bytes = claimCheck is null ? message.Body : await ReadPayload(claimCheck, cancellation);
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            await DeadLetter(message, actions, "PayloadMissing", $"There is no blob {claimCheck}.", cancellation);
            return;
        }
        var sha256 = Convert.ToHexStringLower(SHA256.HashData(bytes.Span));
        if (bytes.Length != (long)p["size"] || sha256 != (string)p["sha256"])
        {
            await DeadLetter(message, actions, "Damaged", "Size or SHA-256 is not what the message says.", cancellation);
            return;
        }
        // Here the part is yours.
        log.LogInformation(
            "{Customer}/{Connection} {InterchangeId}: part {PartNumber} of {PartCount}, {FileName}, {Size} bytes",
            p["customer"], p["connection"], p["interchangeId"], (int)p["partNumber"], (int)p["partCount"],
            p["inboundFileName"], bytes.Length);
        await actions.CompleteMessageAsync(message, cancellation);
    }

    async Task<BinaryData> ReadPayload(string claimCheck, CancellationToken cancellation)
    {
        var slash = claimCheck.IndexOf('/');
        var container = claimCheck[..Math.Max(slash, 0)];
        if (container != PayloadContainer) throw new InvalidOperationException($"No payload is in {container}.");
        var blob = payloads.GetBlobContainerClient(container).GetBlobClient(claimCheck[(slash + 1)..]);
        return (await blob.DownloadContentAsync(cancellation)).Value.Content;
    }

    async Task DeadLetter(
        ServiceBusReceivedMessage message,
        ServiceBusMessageActions actions,
        string reason,
        string description,
        CancellationToken cancellation)
    {
        log.LogError("Dead-lettered {MessageId}: {Reason}", message.MessageId, reason);
        await actions.DeadLetterMessageAsync(message, null, reason, description, cancellation);
    }
}
