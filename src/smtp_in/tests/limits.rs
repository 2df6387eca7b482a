//! What a client may use up, and how the server stops.

use super::*;

const START: &str = "MAIL FROM:<scan@practice.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n";

async fn in_data(world: &World) -> Client<DuplexStream> {
    let mut client = world.scanner().await;
    client.send(START).await;
    for code in [250, 250, 354] {
        client.expect(code).await;
    }
    client
}

#[tokio::test]
async fn a_message_that_is_too_large_is_read_to_its_end_and_refused() {
    let world = World::with(Settings { max_message_bytes: 100_000, ..Settings::default() });
    let mut client = in_data(&world).await;
    let line = [&[b'x'; 998][..], b"\r\n"].concat();
    for _ in 0..101 {
        client.send(&line).await;
    }
    client.send("QUIT\r\n.\r\nNOOP\r\n").await;
    assert!(client.expect(552).await.starts_with("552 5.3.4 "));
    client.expect(250).await;
    client.ask("MAIL FROM:<scan@practice.example> SIZE=100001", 552).await;
    client.send(START).await;
    for code in [250, 250, 354] {
        client.expect(code).await;
    }
    for _ in 0..100 {
        client.send(&line).await;
    }
    client.send(".\r\n").await;
    client.expect(250).await;
    assert_eq!(world.desk.taken()[0].content.len(), 100_000);
}

#[tokio::test]
async fn a_message_of_many_megabytes_arrives_whole_over_tls() {
    let world = World::new(Limits::default());
    let mut client = world.ann().await;
    client.send(START.replace("scan@", "ann@")).await;
    for code in [250, 250, 354] {
        client.expect(code).await;
    }
    let line: Vec<u8> = (0..76).map(|at| b'a' + at % 26).chain(*b"\r\n").collect();
    let content = line.repeat(100_000);
    client.send(&content).await;
    client.send(".\r\n").await;
    client.expect(250).await;
    assert!(world.desk.taken()[0].content == content);
    assert_eq!(world.gate.memory.available_permits(), 256 << 20, "memory was given back");
}

#[tokio::test]
async fn a_line_too_long_for_a_message_or_a_command_is_refused() {
    let world = World::new(Limits::default());
    let mut client = in_data(&world).await;
    client.send([&vec![b'x'; 65_537][..], b"\r\n.\r\n"].concat()).await;
    assert!(client.expect(550).await.starts_with("550 5.6.0 "));
    client.send([&vec![b'x'; 10_000][..], b"\r\nNOOP\r\n"].concat()).await;
    client.expect(500).await;
    client.expect(250).await;
    client.send([b"NOOP ", &vec![b'x'; 506][..], b"\r\n"].concat()).await;
    client.expect(500).await;
    client.send(vec![b'x'; 200_000]).await;
    client.expect(421).await;
    assert_eq!(client.session.take().unwrap().await.unwrap(), End::TooManyErrors);
}

#[tokio::test]
async fn memory_for_messages_is_bounded_over_all_sessions() {
    let world = World::with(Settings { memory_in_flight_bytes: 40_000, ..Settings::default() });
    let mut first = in_data(&world).await;
    first.send("x\r\n").await;
    let mut second = in_data(&world).await;
    let mut third = world.scanner().await;
    third.send(START).await;
    for code in [250, 250, 452] {
        third.expect(code).await;
    }
    second.send([b"x\r\n".repeat(10_000), b".\r\n".to_vec()].concat()).await;
    assert!(second.expect(452).await.starts_with("452 4.3.1 "));
    third.ask("DATA", 354).await;
    third.send("y\r\n.\r\n").await;
    third.expect(250).await;
    first.send(".\r\n").await;
    first.expect(250).await;
    assert_eq!(world.gate.memory.available_permits(), 40_000);
    third.send("MAIL FROM:<> SIZE=40001\r\nRCPT TO:<b@x.example>\r\nDATA\r\n").await;
    for code in [250, 250, 452] {
        third.expect(code).await;
    }
    third.send("RSET\r\nMAIL FROM:<> SIZE=40001\r\nRCPT TO:<b@x.example>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n").await;
    for code in [250, 250, 250, 452, 250] {
        third.expect(code).await;
    }
}

#[tokio::test]
async fn too_many_recipients_or_errors() {
    let world = World::with(Settings { max_recipients: 2, ..Settings::default() });
    let mut client = world.scanner().await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<c@x.example>\r\n").await;
    for code in [250, 250, 250, 452] {
        client.expect(code).await;
    }
    client.send("FOO\r\n".repeat(30)).await;
    for _ in 0..20 {
        client.expect(500).await;
    }
    client.expect(421).await;
    assert_eq!(client.end().await, End::TooManyErrors);
}

#[tokio::test]
async fn idle_slow_and_endless_clients_are_cut() {
    let short = Duration::from_millis(20);
    let world = World::new(Limits { idle: short, ..Limits::default() });
    let mut client = world.scanner().await;
    client.expect(421).await;
    assert_eq!(client.end().await, End::Timeout);

    let world = World::new(Limits { rate_window: short, rate_bytes_min: 1000, ..Limits::default() });
    let mut client = in_data(&world).await;
    client.send([b'x'; 999]).await;
    client.expect(421).await;
    assert_eq!(client.end().await, End::TooSlow);
    let mut client = world.scanner().await;
    client.send("BDAT 5\r\nabc").await;
    client.expect(421).await;
    assert_eq!(client.end().await, End::TooSlow);

    // All is there before the session starts, so it ends where it would have to wait.
    let world = World::new(Limits { session: Duration::ZERO, ..Limits::default() });
    let mut client = world.connect(ListenerKind::Relay, "192.0.2.1");
    client.send(format!("EHLO x\r\n{START}x\r\n")).await;
    for code in [220, 250, 250, 250, 354, 421] {
        client.expect(code).await;
    }
    assert_eq!(client.end().await, End::Timeout);

    let world = World::new(Limits { handshake: short, ..Limits::default() });
    let mut client = world.connect(ListenerKind::Submissions, "198.51.100.7");
    assert_eq!(client.end().await, End::TlsFailed);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut() {
    let world = World::new(Limits { write: Duration::from_millis(20), ..Limits::default() });
    let (ours, theirs) = tokio::io::duplex(64);
    let (gate, stop) = (Arc::clone(&world.gate), world.stop.subscribe());
    let peer = "192.0.2.1".parse().unwrap();
    let session =
        tokio::spawn(
            async move { serve_client(&gate, &Standing::known(), theirs, peer, (ListenerKind::Relay, None), stop).await },
        );
    let (_read, mut write) = tokio::io::split(ours);
    let _ = write.write_all("NOOP\r\n".repeat(1000).as_bytes()).await;
    assert_eq!(session.await.unwrap(), End::Timeout);
}

#[tokio::test]
async fn a_stop_lets_a_message_finish_and_says_goodbye_to_the_rest() {
    let world = World::new(Limits::default());
    let mut idle = world.scanner().await;
    let mut sending = in_data(&world).await;
    sending.send("x\r\n").await;
    world.stop.send_replace(true);
    assert!(idle.expect(421).await.starts_with("421 4.3.2 "));
    assert_eq!(idle.end().await, End::Stopped);
    sending.send(".\r\n").await;
    sending.expect(250).await;
    sending.expect(421).await;
    assert_eq!(sending.end().await, End::Stopped);
    assert_eq!(world.desk.taken().len(), 1);

    let world = World::new(Limits { stop_grace: Duration::from_millis(20), ..Limits::default() });
    let mut endless = in_data(&world).await;
    world.stop.send_replace(true);
    endless.expect(421).await;
    assert_eq!(endless.end().await, End::Stopped);
}

#[tokio::test]
async fn an_idle_session_costs_a_few_kilobytes() {
    let world = World::new(Limits::default());
    let (_ours, theirs) = tokio::io::duplex(64);
    let stop = world.stop.subscribe();
    let (peer, standing) = ("192.0.2.1".parse().unwrap(), Standing::known());
    let session = serve_client(&world.gate, &standing, theirs, peer, (ListenerKind::Relay, None), stop);
    assert!(size_of_val(&session) < 8 * 1024, "{} bytes", size_of_val(&session));
}

/// A real listener on loopback, and the task that serves it.
async fn listen(world: &World, kind: ListenerKind) -> (TcpListener, SocketAddr, impl FnOnce(TcpListener) -> JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (gate, stop) = (Arc::clone(&world.gate), world.stop.subscribe());
    (listener, address, move |listener| tokio::spawn(serve(listener, kind, gate, stop)))
}

async fn dial(address: SocketAddr) -> Client<TcpStream> {
    Client { stream: TcpStream::connect(address).await.unwrap(), input: Vec::new(), session: None }
}

#[tokio::test]
async fn connections_are_capped_for_each_source_and_freed_at_their_end() {
    let world = World::new(Limits { connections_per_source_max: 2, ..Limits::default() });
    let (listener, address, start) = listen(&world, ListenerKind::Submission).await;
    let served = start(listener);
    let mut first = dial(address).await;
    first.expect(220).await;
    let mut second = dial(address).await;
    second.expect(220).await;
    let mut third = dial(address).await;
    third.expect(421).await;
    assert_eq!(third.reply().await, None);
    first.ask("QUIT", 221).await;
    assert_eq!(first.reply().await, None);
    // The place is free once the session's task has ended, which the peer cannot see: ask until it is.
    let mut again = loop {
        let mut client = dial(address).await;
        if client.reply().await.unwrap().starts_with("220") {
            break client;
        }
    };
    again.ask("NOOP", 250).await;
    world.stop.send_replace(true);
    second.expect(421).await;
    again.expect(421).await;
    served.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "still listening after the stop");
}

#[tokio::test]
async fn who_talks_before_the_greeting_is_not_served() {
    let world = World::new(Limits::default());
    let (listener, address, start) = listen(&world, ListenerKind::Relay).await;
    let mut early = dial(address).await;
    early.send("EHLO x\r\n").await;
    let mut polite = dial(address).await;
    let _served = start(listener);
    early.expect(554).await;
    assert_eq!(early.reply().await, None);
    polite.expect(220).await;
}

#[tokio::test]
async fn a_panic_costs_one_session_and_is_counted() {
    let world = World::new(Limits::default());
    world.book.put(UserRow { is_first: true, ..user_row("first", "right") });
    let (listener, address, start) = listen(&world, ListenerKind::Submissions).await;
    let _served = start(listener);
    let before = metrics().panics.get();
    for content in ["PANIC\r\n", "fine\r\n"] {
        let mut client = world.start_tls(dial(address).await).await;
        client.expect(220).await;
        client.ask("EHLO x", 250).await;
        client.ask(&format!("AUTH PLAIN {}", STANDARD.encode("\0first\0right")), 235).await;
        client.send(START.replace("scan@", "ann@")).await;
        for code in [250, 250, 354] {
            client.expect(code).await;
        }
        client.send(format!("{content}.\r\n")).await;
        match content {
            "fine\r\n" => drop(client.expect(250).await),
            _ => assert_eq!(client.reply().await, None),
        }
    }
    assert!(metrics().panics.get() > before, "not counted");
    assert_eq!(world.desk.taken().len(), 1);
}

#[tokio::test]
async fn strangers_cannot_fill_the_house() {
    let world = World::new(Limits { connections_max: 10, connections_per_source_max: 100, ..Limits::default() });
    let (listener, address, start) = listen(&world, ListenerKind::Submission).await;
    let served = start(listener);
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let mut client = dial(address).await;
        client.expect(220).await;
        strangers.push(client);
    }
    // Ann comes ninth; from now on her address is known, and the last place is free for it.
    let mut ann = dial(address).await;
    ann.expect(220).await;
    ann.ask("EHLO ann", 250).await;
    ann.ask("STARTTLS", 220).await;
    let mut ann = world.start_tls(ann).await;
    ann.ask("EHLO ann", 250).await;
    let login = STANDARD.encode("\0ann\0right");
    ann.ask(&format!("AUTH PLAIN {login}"), 235).await;
    let mut tenth = dial(address).await;
    tenth.expect(220).await;
    let mut eleventh = dial(address).await;
    eleventh.expect(421).await;
    world.stop.send_replace(true);
    drop((strangers, tenth, ann));
    served.await.unwrap();
}

#[tokio::test]
async fn the_ninth_of_ten_places_is_the_last_for_strangers() {
    let world = World::new(Limits { connections_max: 10, connections_per_source_max: 100, ..Limits::default() });
    let (listener, address, start) = listen(&world, ListenerKind::Submission).await;
    let served = start(listener);
    let mut strangers = Vec::new();
    for _ in 0..9 {
        let mut client = dial(address).await;
        client.expect(220).await;
        strangers.push(client);
    }
    dial(address).await.expect(421).await;
    world.stop.send_replace(true);
    drop(strangers);
    served.await.unwrap();
}

#[tokio::test]
async fn without_space_a_message_is_refused_before_it_is_sent() {
    let world = World::new(Limits::default());
    world.desk.space.store(1000, std::sync::atomic::Ordering::SeqCst);
    let mut client = world.ann().await;
    client.send("MAIL FROM:<ann@practice.example> SIZE=1001\r\n").await;
    assert!(client.reply().await.unwrap().starts_with("452 4.3.1"));
    client.ask("RCPT TO:<a@b.example>", 503).await;
    client.ask("MAIL FROM:<ann@practice.example> SIZE=1000", 250).await;
}
