//! Sockets: what comes in goes to whom it is for, what goes out is sent.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use zeromq::{
    PubSocket, RouterRecvHalf, RouterSendHalf, RouterSocket, Socket, SocketRecv as _, SocketSend as _, ZmqMessage,
};

use super::connection::Connection;
use super::kernel::{Channel, Kernel, Shell};
use super::wire::{Message, Wire};
use super::{answers, cells};
use crate::error::{Error, Result};
use crate::progress::Stop;
use crate::script::Given;
use crate::script::session::{STACK, among_workers};

/// How often it is asked whether the process that started the kernel is still there.
const PARENT_CHECK: Duration = Duration::from_secs(1);

/// Serves a connection until the kernel is told to end.
///
/// # Errors
/// A port is in use, or a thread cannot be started.
pub fn serve(connection: &Connection, given: Given) -> Result<()> {
    let wire = Arc::new(Wire::new(&connection.key)?);
    let (sender, receiver) = unbounded_channel();
    let kernel = Arc::new(Kernel::new(connection, wire, sender, given));
    kernel.set_main(start_shell(&kernel, true)?);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(format!("cannot serve sockets: {error}")))?;
    runtime.block_on(run(connection, kernel, receiver))
}

/// Starts a thread that evaluates cells.
fn start_shell(kernel: &Arc<Kernel>, main: bool) -> Result<Shell> {
    let (sender, receiver) = channel();
    let stop = Stop::default();
    let (kernel, shell_stop) = (Arc::clone(kernel), stop.clone());
    std::thread::Builder::new()
        .name(if main { "cells".into() } else { "subshell".into() })
        .stack_size(STACK)
        .spawn(move || among_workers(|| cells::evaluate(&kernel, &receiver, &shell_stop, main)))
        .map_err(|error| Error::new(format!("cannot start the thread that cells run on: {error}")))?;
    Ok(Shell { cells: sender, stop })
}

/// A socket at an address.
async fn bound<S: Socket>(connection: &Connection, what: &str, port: u16) -> Result<S> {
    let mut socket = S::new();
    let endpoint = connection.endpoint(port);
    socket.bind(&endpoint).await.map_err(|error| {
        Error::new(format!("cannot listen for {what} at {endpoint}: {error}"))
            .help("the connection file is of another kernel that still runs, or another program has the port; start the kernel again")
    })?;
    Ok(socket)
}

async fn run(
    connection: &Connection,
    kernel: Arc<Kernel>,
    mut out: UnboundedReceiver<(Channel, Message)>,
) -> Result<()> {
    // The parent is looked at first: it may be gone before the first look otherwise.
    let parent = std::env::var("JPY_PARENT_PID").ok().map(|_| std::os::unix::process::parent_id());
    let heartbeat = bound::<RouterSocket>(connection, "heartbeats", connection.hb_port).await?;
    let iopub = bound::<PubSocket>(connection, "subscribers", connection.iopub_port).await?;
    let shell = bound::<RouterSocket>(connection, "cells", connection.shell_port).await?;
    let control = bound::<RouterSocket>(connection, "interrupts", connection.control_port).await?;
    let stdin = bound::<RouterSocket>(connection, "typed lines", connection.stdin_port).await?;
    let (mut shell_out, shell_in) = shell.split();
    let (mut control_out, control_in) = control.split();
    let (mut stdin_out, stdin_in) = stdin.split();

    kernel.iopub.status("starting", &Default::default());
    tokio::spawn(Arc::clone(&kernel.iopub).serve(iopub));
    tokio::spawn(echo(heartbeat));
    let wire = Arc::clone(&kernel.wire);
    tokio::spawn(async move {
        while let Some((channel, message)) = out.recv().await {
            let socket: &mut RouterSendHalf = match channel {
                Channel::Shell => &mut shell_out,
                Channel::Control => &mut control_out,
                Channel::Stdin => &mut stdin_out,
            };
            // A client that is gone needs no answer.
            let _ = socket.send(wire.encode(&message)).await;
        }
    });
    tokio::spawn(listen(Arc::clone(&kernel), Channel::Shell, shell_in));
    tokio::spawn(listen(Arc::clone(&kernel), Channel::Control, control_in));
    tokio::spawn(listen(Arc::clone(&kernel), Channel::Stdin, stdin_in));

    let mut interrupts = caught(SignalKind::interrupt())?;
    let mut ends = caught(SignalKind::terminate())?;
    let mut check = tokio::time::interval(PARENT_CHECK);
    loop {
        tokio::select! {
            _ = interrupts.recv() => kernel.interrupt(),
            _ = ends.recv() => end(&kernel),
            _ = check.tick() => {
                if parent.is_some_and(|parent| parent != std::os::unix::process::parent_id()) {
                    end(&kernel);
                }
            }
        }
    }
}

fn caught(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|error| Error::new(format!("cannot listen for signals: {error}")))
}

/// Ends the process when what was said has left it.
fn end(kernel: &Arc<Kernel>) {
    kernel.interrupt();
    // From a thread of its own: this one sends what is to leave.
    let kernel = Arc::clone(kernel);
    std::thread::spawn(move || {
        kernel.iopub.flush(Duration::from_millis(500));
        std::thread::sleep(Duration::from_millis(30));
        std::process::exit(0);
    });
}

/// Echoes heartbeats as they are.
async fn echo(mut socket: RouterSocket) {
    loop {
        if let Ok(beat) = socket.recv().await {
            let _ = socket.send(beat).await;
        }
    }
}

async fn listen(kernel: Arc<Kernel>, channel: Channel, mut socket: RouterRecvHalf) {
    loop {
        let Ok(frames) = socket.recv().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        receive(&kernel, channel, frames);
    }
}

fn receive(kernel: &Arc<Kernel>, channel: Channel, frames: ZmqMessage) {
    // What is forged or torn is dropped: an answer would tell a stranger that somebody listens.
    let Ok(request) = kernel.wire.decode(frames) else { return };
    match (channel, request.kind()) {
        (Channel::Stdin, "input_reply") => return kernel.typed(request.text("value").to_string()),
        (Channel::Stdin, _) => return,
        (Channel::Shell, "execute_request") => {
            if let Err(request) = kernel.submit(request) {
                let id = request.subshell().unwrap_or_default().to_string();
                refuse(kernel, channel, &request, &format!("there is no subshell `{id}`"));
            }
            return;
        }
        _ => {}
    }
    // A front end that sees `idle` after its question would take the cell to be at an end.
    let aside =
        kernel.is_running() && matches!(request.kind(), "complete_request" | "inspect_request" | "is_complete_request");
    if !aside {
        kernel.iopub.status("busy", &request.header);
    }
    answer(kernel, channel, &request);
    if !aside {
        kernel.end_beside(&request.header);
    }
}

fn answer(kernel: &Arc<Kernel>, channel: Channel, request: &Message) {
    let content = match request.kind() {
        "kernel_info_request" => answers::kernel_info(),
        "is_complete_request" => answers::is_complete(kernel, request),
        "complete_request" => answers::complete(kernel, request),
        "inspect_request" => answers::inspect(kernel, request),
        "history_request" => answers::history(kernel, request),
        "comm_info_request" => kernel.comms.info(request),
        "comm_open" => return kernel.comms.opened(request),
        "comm_msg" => {
            if kernel.comms.said(request) {
                kernel.interrupt();
            }
            return;
        }
        "comm_close" => return kernel.comms.closed(request),
        "connect_request" => answers::ports(&kernel.connection),
        "usage_request" => answers::usage(),
        "interrupt_request" => {
            kernel.interrupt();
            json!({ "status": "ok" })
        }
        "create_subshell_request" => match start_shell(kernel, false) {
            Ok(shell) => {
                let id = kernel.wire.fresh_id();
                kernel.add_subshell(id.clone(), shell);
                json!({ "status": "ok", "subshell_id": id })
            }
            Err(error) => return refuse(kernel, channel, request, &error.to_string()),
        },
        "delete_subshell_request" => {
            let id = request.text("subshell_id");
            if !kernel.remove_subshell(id) {
                return refuse(kernel, channel, request, &format!("there is no subshell `{id}`"));
            }
            json!({ "status": "ok" })
        }
        "list_subshell_request" => json!({ "status": "ok", "subshell_id": kernel.subshells() }),
        "shutdown_request" => {
            kernel.answer(channel, request, json!({ "status": "ok", "restart": request.flag("restart", false) }));
            end(kernel);
            return;
        }
        kind => return refuse(kernel, channel, request, &format!("this kernel does not know `{kind}`")),
    };
    kernel.answer(channel, request, content);
}

/// Says that a request cannot be met.
fn refuse(kernel: &Kernel, channel: Channel, request: &Message, why: &str) {
    kernel.answer(channel, request, json!({ "status": "error", "ename": "Error", "evalue": why, "traceback": [] }));
}
