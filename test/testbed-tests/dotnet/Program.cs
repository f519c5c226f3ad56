// What a consumer in .NET does with a broker, one scenario a run: BrokerClient <scenario> <connection string>.
// The queues are those that brokerDotnet.test.ts makes. Exits with 0, or with 1 and the reason.
using System.Transactions;
using Azure.Messaging.ServiceBus;
using Azure.Messaging.ServiceBus.Administration;

var scenarios = new Dictionary<string, Func<ServiceBusClient, Task>>
{
    ["properties"] = Scenarios.Properties,
    ["batches"] = Scenarios.Batches,
    ["dead-letter"] = Scenarios.DeadLetter,
    ["defer"] = Scenarios.Defer,
    ["parallel-requests"] = Scenarios.ParallelRequests,
    ["prefetch"] = Scenarios.Prefetch,
    ["processor"] = Scenarios.Processor,
    ["schedule"] = Scenarios.Schedule,
    ["session"] = Scenarios.Session,
    ["session-processor"] = Scenarios.SessionProcessor,
    ["rules"] = Scenarios.Rules,
    ["idle"] = Scenarios.Idle,
    ["transaction"] = Scenarios.Transaction,
};

var options = new ServiceBusClientOptions
{
    RetryOptions = new ServiceBusRetryOptions { MaxRetries = 0, TryTimeout = TimeSpan.FromSeconds(15) },
};
await using var client = new ServiceBusClient(args[1], options);
try
{
    await scenarios[args[0]](client);
    return 0;
}
catch (Exception error)
{
    Console.Error.WriteLine(error);
    return 1;
}

static class Scenarios
{
    static readonly TimeSpan Short = TimeSpan.FromMilliseconds(300);
    static readonly TimeSpan Long = TimeSpan.FromSeconds(10);

    public static async Task Properties(ServiceBusClient client)
    {
        var before = DateTimeOffset.UtcNow.AddSeconds(-5);
        await client.CreateSender("q").SendMessageAsync(new ServiceBusMessage(new byte[] { 0, 255, 13, 10 })
        {
            MessageId = "id",
            CorrelationId = "mail",
            Subject = "body",
            ContentType = "text/plain",
            SessionId = "s",
            TimeToLive = TimeSpan.FromHours(1),
            ApplicationProperties = { ["partNumber"] = 7, ["size"] = 5_000_000_000, ["name"] = "Grüße" },
        });
        await using var receiver = client.CreateReceiver("q");
        var message = await Receive(receiver);
        Equal("0,255,13,10", string.Join(',', message.Body.ToArray()));
        Equal("id mail body text/plain s", $"{message.MessageId} {message.CorrelationId} {message.Subject} {message.ContentType} {message.SessionId}");
        Equal(7, (int)message.ApplicationProperties["partNumber"]);
        Equal(5_000_000_000, (long)message.ApplicationProperties["size"]);
        Equal("Grüße", (string)message.ApplicationProperties["name"]);
        Equal(TimeSpan.FromHours(1), message.TimeToLive);
        Equal(1, message.DeliveryCount);
        Equal(1L, message.SequenceNumber);
        Equal(ServiceBusMessageState.Active, message.State);
        True(message.EnqueuedTime > before, "the enqueued time");
        True(message.LockedUntil > DateTimeOffset.UtcNow, "the lock's end");
        await receiver.CompleteMessageAsync(message);
        await Nothing(receiver);
    }

    public static async Task Batches(ServiceBusClient client)
    {
        await using var sender = client.CreateSender("q");
        using var batch = await sender.CreateMessageBatchAsync();
        Equal(262_144L, batch.MaxSizeInBytes);
        for (var n = 0; n < 300; n++) True(batch.TryAddMessage(new ServiceBusMessage($"{n}")), "it fits");
        await sender.SendMessagesAsync(batch);
        await sender.SendMessagesAsync([new ServiceBusMessage("a"), new ServiceBusMessage("b")]);
        await using var receiver = client.CreateReceiver("q");
        // In any order: what comes after a call has ended is released by the SDK, and comes again.
        var bodies = new SortedSet<string>(StringComparer.Ordinal);
        while (bodies.Count < 302)
        {
            var messages = await receiver.ReceiveMessagesAsync(100, Long);
            foreach (var message in messages) True(bodies.Add(message.Body.ToString()), "each comes once");
            await Task.WhenAll(messages.Select(message => receiver.CompleteMessageAsync(message)));
        }
        var sent = Enumerable.Range(0, 300).Select(n => $"{n}").Concat(["a", "b"]);
        Equal(string.Join(' ', sent.Order(StringComparer.Ordinal)), string.Join(' ', bodies));
        await Nothing(receiver);
    }

    public static async Task DeadLetter(ServiceBusClient client)
    {
        await Send(client, "q", "x", ("partNumber", 7), ("size", 5L));
        await using var receiver = client.CreateReceiver("q");
        var message = await Receive(receiver);
        var properties = new Dictionary<string, object> { ["tried"] = 3, ["when"] = DateTime.UnixEpoch };
        await receiver.DeadLetterMessageAsync(message, properties, "Damaged", "The SHA-256 differs.");
        var options = new ServiceBusReceiverOptions { SubQueue = SubQueue.DeadLetter };
        await using var dead = client.CreateReceiver("q", options);
        var peeked = await dead.PeekMessageAsync();
        Equal("Damaged", peeked.DeadLetterReason);
        Equal(null, await client.CreateReceiver("q").PeekMessageAsync());
        var found = await Receive(dead);
        Equal("Damaged The SHA-256 differs.", $"{found.DeadLetterReason} {found.DeadLetterErrorDescription}");
        var kept = found.ApplicationProperties;
        Equal("7 5 3", $"{(int)kept["partNumber"]} {(long)kept["size"]} {(int)kept["tried"]}");
        Equal(DateTime.UnixEpoch, (DateTime)kept["when"]);
        Equal(message.SequenceNumber, found.SequenceNumber);
        await dead.CompleteMessageAsync(found);
        await Nothing(dead);
    }

    public static async Task Defer(ServiceBusClient client)
    {
        await Send(client, "q", "x");
        await using var receiver = client.CreateReceiver("q");
        var message = await Receive(receiver);
        await receiver.DeferMessageAsync(message, new Dictionary<string, object> { ["tried"] = 3 });
        await Nothing(receiver);
        Equal(ServiceBusMessageState.Deferred, (await receiver.PeekMessageAsync()).State);
        var deferred = await receiver.ReceiveDeferredMessageAsync(message.SequenceNumber);
        Equal(3, (int)deferred.ApplicationProperties["tried"]);
        await receiver.RenewMessageLockAsync(deferred);
        await receiver.AbandonMessageAsync(deferred);
        deferred = await receiver.ReceiveDeferredMessageAsync(message.SequenceNumber);
        await receiver.CompleteMessageAsync(deferred);
        await Fails(ServiceBusFailureReason.MessageNotFound, () => receiver.ReceiveDeferredMessageAsync(message.SequenceNumber));
    }

    public static async Task ParallelRequests(ServiceBusClient client)
    {
        await using var sender = client.CreateSender("q");
        await sender.SendMessagesAsync(Enumerable.Range(0, 40).Select(n => new ServiceBusMessage($"{n}")));
        await using var receiver = client.CreateReceiver("q");
        var messages = new List<ServiceBusReceivedMessage>();
        while (messages.Count < 40) messages.AddRange(await receiver.ReceiveMessagesAsync(40, Long));
        await Task.WhenAll(messages.Select(message => receiver.RenewMessageLockAsync(message)));
        await Task.WhenAll(messages.Select(message => receiver.CompleteMessageAsync(message)));
    }

    /// Attach and credit come in one piece with prefetch: a broker must not deliver before it has attached.
    public static async Task Prefetch(ServiceBusClient client)
    {
        await using var sender = client.CreateSender("q");
        for (var round = 0; round < 20; round++)
        {
            await sender.SendMessagesAsync(Enumerable.Range(0, 5).Select(n => new ServiceBusMessage($"{n}")));
            await using var receiver = client.CreateReceiver("q", new ServiceBusReceiverOptions { PrefetchCount = 5 });
            for (var n = 0; n < 5; n++) await receiver.CompleteMessageAsync(await Receive(receiver));
        }
        await Nothing(client.CreateReceiver("q"));
    }

    public static async Task Processor(ServiceBusClient client)
    {
        await using var sender = client.CreateSender("q");
        await sender.SendMessagesAsync(Enumerable.Range(0, 200).Select(n => new ServiceBusMessage($"{n}")));
        var options = new ServiceBusProcessorOptions { PrefetchCount = 20, MaxConcurrentCalls = 8 };
        await using var processor = client.CreateProcessor("q", options);
        var seen = new HashSet<string>();
        var all = new TaskCompletionSource();
        processor.ProcessMessageAsync += args =>
        {
            lock (seen)
            {
                True(seen.Add(args.Message.Body.ToString()), "each comes once");
                if (seen.Count == 200) all.TrySetResult();
            }
            return Task.CompletedTask;
        };
        processor.ProcessErrorAsync += args => Task.FromResult(all.TrySetException(args.Exception));
        await processor.StartProcessingAsync();
        await all.Task.WaitAsync(Long);
        await processor.StopProcessingAsync();
        await Nothing(client.CreateReceiver("q"));
    }

    public static async Task Schedule(ServiceBusClient client)
    {
        await using var sender = client.CreateSender("q");
        await using var receiver = client.CreateReceiver("q");
        var soon = DateTimeOffset.UtcNow.AddSeconds(4);
        var kept = await sender.ScheduleMessageAsync(new ServiceBusMessage("kept"), soon);
        var cancelled = await sender.ScheduleMessageAsync(new ServiceBusMessage("cancelled"), soon);
        Equal(ServiceBusMessageState.Scheduled, (await receiver.PeekMessageAsync(kept)).State);
        await sender.CancelScheduledMessageAsync(cancelled);
        await sender.SendMessageAsync(new ServiceBusMessage("by itself") { ScheduledEnqueueTime = soon });
        var first = await Receive(receiver);
        True(DateTimeOffset.UtcNow >= soon, "it comes in time");
        Equal("by itself kept", string.Join(' ', new[] { first, await Receive(receiver) }.Select(m => m.Body.ToString()).Order()));
        True(first.SequenceNumber > cancelled, "it has a number of its own");
        await Nothing(receiver);
    }

    public static async Task Session(ServiceBusClient client)
    {
        await using var sender = client.CreateSender("sessions");
        foreach (var (body, session) in new[] { ("a1", "a"), ("b1", "b"), ("a2", "a") })
        {
            await sender.SendMessageAsync(new ServiceBusMessage(body) { SessionId = session });
        }
        await using (var a = await client.AcceptNextSessionAsync("sessions"))
        {
            Equal("a", a.SessionId);
            await a.SetSessionStateAsync(new BinaryData("one of two"));
            await a.RenewSessionLockAsync();
            True(a.SessionLockedUntil > DateTimeOffset.UtcNow, "the session's lock");
            Equal("a1", (await Receive(a)).Body.ToString());
            await Fails(ServiceBusFailureReason.SessionCannotBeLocked, () => client.AcceptSessionAsync("sessions", "a"));
        }
        await using var again = await client.AcceptSessionAsync("sessions", "a");
        Equal("one of two", (await again.GetSessionStateAsync()).ToString());
        var first = await Receive(again);
        Equal("a1 1", $"{first.Body} {first.DeliveryCount}");
        Equal("a2", (await Receive(again)).Body.ToString());
        Equal("b", (await client.AcceptNextSessionAsync("sessions")).SessionId);
    }

    public static async Task SessionProcessor(ServiceBusClient client)
    {
        await using var sender = client.CreateSender("sessions");
        for (var n = 0; n < 60; n++)
        {
            await sender.SendMessageAsync(new ServiceBusMessage($"{n / 6}") { SessionId = $"s{n % 6}" });
        }
        await using var processor = client.CreateSessionProcessor("sessions", new ServiceBusSessionProcessorOptions
        {
            MaxConcurrentSessions = 3,
            SessionIdleTimeout = Short,
            PrefetchCount = 4,
        });
        var seen = new Dictionary<string, List<string>>();
        var count = 0;
        var all = new TaskCompletionSource();
        processor.ProcessMessageAsync += args =>
        {
            lock (seen)
            {
                if (!seen.TryGetValue(args.SessionId, out var bodies)) seen[args.SessionId] = bodies = [];
                bodies.Add(args.Message.Body.ToString());
                if (++count == 60) all.TrySetResult();
            }
            return Task.CompletedTask;
        };
        processor.ProcessErrorAsync += args => Task.FromResult(all.TrySetException(args.Exception));
        await processor.StartProcessingAsync();
        await all.Task.WaitAsync(TimeSpan.FromSeconds(20));
        await processor.StopProcessingAsync();
        foreach (var bodies in seen.Values) Equal("0 1 2 3 4 5 6 7 8 9", string.Join(' ', bodies));
    }

    public static async Task Rules(ServiceBusClient client)
    {
        await using var manager = client.CreateRuleManager("topic", "all");
        await manager.DeleteRuleAsync(RuleProperties.DefaultRuleName);
        await manager.CreateRuleAsync("sql", new SqlRuleFilter("customer = 'acme'"));
        var correlation = new CorrelationRuleFilter { Subject = "raw" };
        correlation.ApplicationProperties.Add("size", 5L);
        await manager.CreateRuleAsync("correlation", correlation);
        var rules = new Dictionary<string, RuleFilter>();
        await foreach (var rule in manager.GetRulesAsync()) rules.Add(rule.Name, rule.Filter);
        Equal("customer = 'acme'", ((SqlRuleFilter)rules["sql"]).SqlExpression);
        var found = (CorrelationRuleFilter)rules["correlation"];
        Equal("raw 5", $"{found.Subject} {found.ApplicationProperties["size"]}");
        await Fails(ServiceBusFailureReason.MessagingEntityAlreadyExists, () => manager.CreateRuleAsync("sql", new SqlRuleFilter("1=1")));
        await Fails(ServiceBusFailureReason.MessagingEntityNotFound, () => manager.DeleteRuleAsync("unknown"));
        await using var sender = client.CreateSender("topic");
        await sender.SendMessageAsync(new ServiceBusMessage("1") { ApplicationProperties = { ["customer"] = "acme" } });
        await sender.SendMessageAsync(new ServiceBusMessage("2") { ApplicationProperties = { ["customer"] = "other" } });
        await sender.SendMessageAsync(new ServiceBusMessage("3") { Subject = "raw", ApplicationProperties = { ["size"] = 5L } });
        Equal("1 3", await Bodies(client, "all"));
    }

    /// The broker of this scenario detaches links after two seconds.
    public static async Task Idle(ServiceBusClient client)
    {
        await using var sender = client.CreateSender("q");
        await using var receiver = client.CreateReceiver("q");
        for (var round = 0; round < 2; round++)
        {
            if (round > 0) await Task.Delay(3_000);
            await sender.SendMessageAsync(new ServiceBusMessage($"{round}"));
            var message = await Receive(receiver);
            Equal($"{round}", message.Body.ToString());
            await receiver.RenewMessageLockAsync(message);
            await receiver.CompleteMessageAsync(message);
        }
    }

    public static async Task Transaction(ServiceBusClient client)
    {
        try
        {
            using var scope = new TransactionScope(TransactionScopeAsyncFlowOption.Enabled);
            await client.CreateSender("q").SendMessageAsync(new ServiceBusMessage("x"));
            scope.Complete();
        }
        catch (Exception error) when (error.ToString().Contains("not implemented", StringComparison.OrdinalIgnoreCase))
        {
            return;
        }
        throw new Exception("A transaction was not refused.");
    }

    static async Task Send(ServiceBusClient client, string queue, string body, params (string, object)[] properties)
    {
        var message = new ServiceBusMessage(body);
        foreach (var (name, value) in properties) message.ApplicationProperties.Add(name, value);
        await using var sender = client.CreateSender(queue);
        await sender.SendMessageAsync(message);
    }

    static async Task<ServiceBusReceivedMessage> Receive(ServiceBusReceiver receiver) =>
        await receiver.ReceiveMessageAsync(Long) ?? throw new Exception("No message came.");

    static async Task Nothing(ServiceBusReceiver receiver) => Equal(null, await receiver.ReceiveMessageAsync(Short));

    static async Task<string> Bodies(ServiceBusClient client, string subscription)
    {
        await using var receiver = client.CreateReceiver("topic", subscription);
        return string.Join(' ', (await receiver.PeekMessagesAsync(10)).Select(message => message.Body.ToString()));
    }

    static async Task Fails(ServiceBusFailureReason reason, Func<Task> act)
    {
        try
        {
            await act();
        }
        catch (ServiceBusException error) when (error.Reason == reason)
        {
            return;
        }
        throw new Exception($"It did not fail with {reason}.");
    }

    static void Equal<T>(T expected, T actual)
    {
        if (!Equals(expected, actual)) throw new Exception($"Expected '{expected}', and it is '{actual}'.");
    }

    static void True(bool holds, string what)
    {
        if (!holds) throw new Exception($"This does not hold: {what}.");
    }
}
