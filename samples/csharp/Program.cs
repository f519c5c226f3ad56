// Takes the messages of the email inbound adapter off a queue, checks them and puts each mail together in a folder:
// MAILS_FOLDER/{customer}/{connection}/{interchangeId}/part-{n}, beside a part-{n}.json with the properties, and a
// mail.json once all parts are there. It may be stopped at any time and started again, also several times at once.
//
// ServiceBusConnection, PayloadStorageConnection: connection strings. QUEUE_NAME: default email-inbound.
// MAILS_FOLDER: default mails.
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;
using Azure;
using Azure.Messaging.ServiceBus;
using Azure.Storage.Blobs;

const string payloadContainer = "email-payloads";
var queueName = Environment.GetEnvironmentVariable("QUEUE_NAME") ?? "email-inbound";
var mailsFolder = Environment.GetEnvironmentVariable("MAILS_FOLDER") ?? "mails";
var payloads = new BlobServiceClient(Setting("PayloadStorageConnection"));
await using var client = new ServiceBusClient(Setting("ServiceBusConnection"));
await using var processor = client.CreateProcessor(queueName, new ServiceBusProcessorOptions
{
    MaxConcurrentCalls = 8,
    // As long as the largest payload may take.
    MaxAutoLockRenewalDuration = TimeSpan.FromMinutes(15),
});

// Returning completes the message; throwing abandons it, and it comes again, ten times by default.
processor.ProcessMessageAsync += async args =>
{
    try
    {
        await TakePart(args.Message, args.CancellationToken);
    }
    catch (DamagedException error)
    {
        Console.Error.WriteLine($"Dead-lettered {args.Message.MessageId}: {error.Message}");
        await args.DeadLetterMessageAsync(args.Message, error.Reason, error.Message);
    }
};
processor.ProcessErrorAsync += args =>
{
    Console.Error.WriteLine(args.Exception.Message);
    return Task.CompletedTask;
};

var stopped = new TaskCompletionSource();
void Stop(PosixSignalContext signal)
{
    signal.Cancel = true;
    stopped.TrySetResult();
}
using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
await processor.StartProcessingAsync();
Console.WriteLine($"Waiting for messages on {queueName}.");
await stopped.Task;
// Ends what is in hand; what was not begun stays on the queue.
await processor.StopProcessingAsync();

// A repeat writes the same files once more.
async Task TakePart(ServiceBusReceivedMessage message, CancellationToken cancellation)
{
    var part = PartOf(message);
    var folder = Path.Combine(mailsFolder, part.Customer, part.Connection, part.InterchangeId);
    Directory.CreateDirectory(folder);
    var file = Path.Combine(folder, $"part-{part.PartNumber}");
    var draft = $"{file}.{Guid.NewGuid()}.tmp";
    try
    {
        await WriteContent(message, part, draft, cancellation);
        await Check(part, draft, cancellation);
        File.Move(draft, file, overwrite: true);
    }
    finally
    {
        File.Delete(draft);
    }
    var properties = message.ApplicationProperties.Append(new("contentType", message.ContentType));
    await WriteWhole($"{file}.json", JsonSerializer.Serialize(properties.ToDictionary()), cancellation);
    await TakeMailIfWhole(part, folder, cancellation);
}

Part PartOf(ServiceBusReceivedMessage message)
{
    var p = message.ApplicationProperties;
    try
    {
        var part = new Part(
            (string)p["customer"],
            (string)p["connection"],
            (string)p["interchangeId"],
            (int)p["partNumber"],
            (int)p["partCount"],
            (long)p["size"],
            (string)p["sha256"],
            p.TryGetValue("claimCheck", out var claimCheck) ? (string)claimCheck : null);
        // They become parts of a path, and the queue takes messages from whoever may send to it.
        string[] names = [part.Customer, part.Connection, part.InterchangeId];
        if (names.All(name => Regex.IsMatch(name, @"^[A-Za-z0-9][A-Za-z0-9._-]*\z"))) return part;
    }
    catch (Exception error) when (error is KeyNotFoundException or InvalidCastException)
    {
    }
    throw new DamagedException("NotFromTheAdapter", "The message lacks a property that every part has.");
}

// Never through a string: most attachments, and mails in their own charset, are no UTF-8.
async Task WriteContent(ServiceBusReceivedMessage message, Part part, string file, CancellationToken cancellation)
{
    if (part.ClaimCheck is null)
    {
        await File.WriteAllBytesAsync(file, message.Body, cancellation);
        return;
    }
    var slash = part.ClaimCheck.IndexOf('/');
    var container = part.ClaimCheck[..Math.Max(slash, 0)];
    if (container != payloadContainer) throw new DamagedException("PayloadElsewhere", $"No payload is in {container}.");
    var blob = payloads.GetBlobContainerClient(container).GetBlobClient(part.ClaimCheck[(slash + 1)..]);
    try
    {
        await blob.DownloadToAsync(file, cancellation);
    }
    catch (RequestFailedException error) when (error.Status == 404)
    {
        throw new DamagedException("PayloadMissing", $"There is no blob {part.ClaimCheck}.");
    }
}

async Task Check(Part part, string file, CancellationToken cancellation)
{
    await using var content = File.OpenRead(file);
    if (content.Length != part.Size) throw new DamagedException("SizeDiffers", $"It has {content.Length} bytes and says {part.Size}.");
    var sha256 = Convert.ToHexStringLower(await SHA256.HashDataAsync(content, cancellation));
    if (sha256 != part.Sha256) throw new DamagedException("Sha256Differs", "Its SHA-256 is not what it says.");
}

// Parts may come in any order and at the same time; whoever makes mail.json has the whole mail.
async Task TakeMailIfWhole(Part part, string folder, CancellationToken cancellation)
{
    var files = Enumerable.Range(1, part.PartCount).Select(n => Path.Combine(folder, $"part-{n}.json")).ToList();
    if (!files.All(File.Exists)) return;
    var parts = new List<JsonElement>();
    foreach (var file in files) parts.Add(JsonSerializer.Deserialize<JsonElement>(await File.ReadAllTextAsync(file, cancellation)));
    try
    {
        await using var mail = new FileStream(Path.Combine(folder, "mail.json"), FileMode.CreateNew);
        await JsonSerializer.SerializeAsync(mail, parts, cancellationToken: cancellation);
    }
    catch (IOException) when (File.Exists(Path.Combine(folder, "mail.json")))
    {
        return;
    }
    // Here the mail is yours: order it, book it, file it.
    var names = parts.Select(p => $"{p.GetProperty("inboundFileName")} ({p.GetProperty("size")} bytes)");
    Console.WriteLine($"Mail {folder}: {string.Join(", ", names)}");
}

// Whoever finds the file finds all of it.
async Task WriteWhole(string file, string text, CancellationToken cancellation)
{
    var draft = $"{file}.{Guid.NewGuid()}.tmp";
    await File.WriteAllTextAsync(draft, text, cancellation);
    File.Move(draft, file, overwrite: true);
}

static string Setting(string name) =>
    Environment.GetEnvironmentVariable(name) is { Length: > 0 } value
        ? value
        : throw new InvalidOperationException($"The environment variable {name} is not set.");

// What every message has. The others, such as emailSubject, are absent where the mail has none.
// InterchangeId is the same for all parts of one mail, and for every repeat of them. ClaimCheck is "container/blob",
// where the bytes did not fit into the message.
record Part(
    string Customer,
    string Connection,
    string InterchangeId,
    int PartNumber,
    int PartCount,
    long Size,
    string Sha256,
    string? ClaimCheck);

// A message that will not get better by trying again.
class DamagedException(string reason, string description) : Exception(description)
{
    public string Reason => reason;
}
