//! Studies on a real Slurm: one node with four slots on the loopback address, in a folder of its own, with a key of its own. Needs
//! the programs of Debian's `slurm-wlm`; without them, or where they do not start, one line says so and nothing is tested.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a cluster is made of while it runs.
struct Cluster {
    dir: tempfile::TempDir,
    daemons: Vec<Child>,
}

/// Where a system keeps its daemons, which not everybody's path has.
fn daemon(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.exists())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Cluster {
    /// Starts one; why it cannot be.
    fn start() -> Result<Self, String> {
        let absent = || "Slurm is not installed (`apt-get install slurm-wlm`)".to_string();
        let [munged, slurmctld, slurmd] = ["munged", "slurmctld", "slurmd"].map(daemon);
        let (munged, slurmctld, slurmd) =
            (munged.ok_or_else(absent)?, slurmctld.ok_or_else(absent)?, slurmd.ok_or_else(absent)?);
        let mut cluster = Self { dir: tempfile::tempdir().unwrap(), daemons: Vec::new() };
        let dir = cluster.dir.path().to_path_buf();
        for folder in ["state", "spool", "log", "work"] {
            std::fs::create_dir(dir.join(folder)).unwrap();
        }
        let key: Vec<u8> = (0..1024u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        std::fs::write(dir.join("munge.key"), key).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(dir.join("munge.key"), private).unwrap();
        let host = said(Command::new("hostname").arg("-s")).trim().to_string();
        let user = said(Command::new("id").arg("-un")).trim().to_string();
        // A task that is to run again waits as long as a credential lasts: two minutes unless said otherwise.
        let at = dir.display();
        let conf = format!(
            "ClusterName=fewlab\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\nSlurmdPort={}\nAuthType=auth/munge\n\
             AuthInfo=socket={at}/munge.sock,cred_expire=5\nSlurmUser={user}\nSlurmdUser={user}\nStateSaveLocation={at}/state\n\
             SlurmdSpoolDir={at}/spool\nSlurmctldPidFile={at}/slurmctld.pid\nSlurmdPidFile={at}/slurmd.pid\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/none\n\
             AccountingStorageType=accounting_storage/none\nMailProg=/bin/true\nSelectType=select/cons_tres\n\
             SelectTypeParameters=CR_CPU\nSlurmdParameters=config_overrides\nReturnToService=2\nKillWait=30\nMinJobAge=600\n\
             SchedulerParameters=batch_sched_delay=0,sched_interval=1\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 State=UNKNOWN\n\
             PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP\n",
            free_port(),
            free_port()
        );
        std::fs::write(dir.join("slurm.conf"), conf).unwrap();
        let conf = dir.join("slurm.conf");
        let path = |name: &str| format!("{}/{name}", dir.display());
        let munge = [
            format!("--key-file={}", path("munge.key")),
            format!("--socket={}", path("munge.sock")),
            format!("--pid-file={}", path("munged.pid")),
            format!("--log-file={}", path("log/munged")),
            format!("--seed-file={}", path("munge.seed")),
        ];
        cluster.daemon(Command::new(munged).args(["--foreground", "--force"]).args(munge), "munged")?;
        cluster.wait("munged", |dir| dir.join("munge.sock").exists())?;
        cluster.daemon(Command::new(slurmctld).arg("-D").arg("-f").arg(&conf), "slurmctld")?;
        cluster.daemon(Command::new(slurmd).arg("-D").arg("-f").arg(&conf), "slurmd")?;
        let idle = |dir: &Path| {
            let mut sinfo = Command::new("sinfo");
            sinfo.args(["-h", "-o", "%T"]).env("SLURM_CONF", dir.join("slurm.conf")).stderr(Stdio::null());
            sinfo.output().is_ok_and(|told| String::from_utf8_lossy(&told.stdout).trim() == "idle")
        };
        cluster.wait("slurmd", idle)?;
        Ok(cluster)
    }

    fn daemon(&mut self, command: &mut Command, name: &str) -> Result<(), String> {
        let log = std::fs::File::create(self.dir.path().join("log").join(format!("{name}.out"))).unwrap();
        let share = log.try_clone().unwrap();
        command.env("SLURM_CONF", self.dir.path().join("slurm.conf")).stdin(Stdio::null()).stdout(log).stderr(share);
        self.daemons.push(command.spawn().map_err(|error| format!("{name} does not start: {error}"))?);
        Ok(())
    }

    fn wait(&mut self, name: &str, done: impl Fn(&Path) -> bool) -> Result<(), String> {
        let since = Instant::now();
        while !done(self.dir.path()) {
            let ended = self.daemons.iter_mut().any(|daemon| !matches!(daemon.try_wait(), Ok(None)));
            if ended || since.elapsed() > Duration::from_secs(60) {
                let log = std::fs::read_to_string(self.dir.path().join(format!("log/{name}.out"))).unwrap_or_default();
                let said: Vec<&str> = log.lines().filter(|line| line.contains("error")).collect();
                return Err(format!("{name} does not start: {}", said.last().unwrap_or(&"no word")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// A command in the folder of the work, which finds this cluster.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.work()).args(arguments).env("SLURM_CONF", self.dir.path().join("slurm.conf"));
        command.env("FEWLAB_CACHE", self.dir.path().join("cache")).stdin(Stdio::null());
        command
    }

    fn study(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let all = [&["study"], arguments].concat();
        let Output { status, stdout, stderr } = self.command(env!("CARGO_BIN_EXE_fewlab"), &all).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// The only task in the queue: its job, its state.
    fn task(&self) -> Option<(String, String)> {
        let told = said(&mut self.command("squeue", &["-h", "-r", "-o", "%A %T"]));
        let (job, state) = told.lines().next()?.split_once(' ')?;
        Some((job.to_string(), state.to_string()))
    }

    fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let since = Instant::now();
        while !done() {
            if since.elapsed() > Duration::from_secs(900) {
                let log = said(Command::new("sh").arg("-c").arg(format!(
                    "tail -n 20 {0}/log/slurmctld.out {0}/log/slurmd.out; cat {0}/work/studies/*/slurm/*/*; squeue -r",
                    self.dir.path().display()
                )));
                panic!("{what}: {log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn count(&self, query: &str) -> i64 {
        let record = rusqlite::Connection::open(self.work().join("studies/record.sqlite")).unwrap();
        record.query_row(query, [], |row| row.get(0)).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        said(&mut self.command("scancel", &["--quiet", "--signal=KILL", "--full", "--state=RUNNING"]));
        said(&mut self.command("scancel", &["--quiet", "--user", said(Command::new("id").arg("-un")).trim()]));
        for daemon in self.daemons.iter_mut().rev() {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(daemon.id() as i32),
                nix::sys::signal::Signal::SIGTERM,
            );
            let _ = daemon.wait();
        }
    }
}

fn said(command: &mut Command) -> String {
    command.output().map_or_else(|error| error.to_string(), |told| String::from_utf8_lossy(&told.stdout).into_owned())
}

/// The toy of the tests of studies, and a training that saves often.
const TOY: &str = "let weight = param(\"weight\", 1.0);\nlet noise = normal([1])[0].value;\n\
                   if weight == 13 { tensor::zeros([2]) + tensor::zeros([3]) }\n\
                   report(\"fd\", weight * 10.0 + noise);\n";
const TRAINING: &str = "let data = data::load(\"fashion-mnist-10k\").train.take(64);\n\
    let gan = gan::train(data, gan::method(\"biggan\") + #{ steps: 1500, batch: 8, g_channels: 8, d_channels: 8, z_dim: 16, \
    standing_batches: 2, sample_every: 0, checkpoint_every: 10, seed: seed() });\n\
    report(\"mean\", gan.sample(16).images.mean().value);\n";

#[test]
fn a_study_is_a_job_array_of_a_real_slurm() {
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => {
            // Past the capture of tests that pass.
            let _ = writeln!(std::io::stderr(), "skipped: studies on a real Slurm: {why}");
            return;
        }
    };
    let work = cluster.work();
    std::fs::write(work.join("toy.rhai"), TOY).unwrap();
    std::fs::write(work.join("training.rhai"), TRAINING).unwrap();

    // The same study as on one machine, with a trial that fails and its line.
    let grid = ["run", "toy.rhai", "--grid", "weight=1,2,13", "--seeds", "2", "--metric", "fd"];
    let asked = [
        "--on",
        "slurm",
        "--partition",
        "short",
        "--jobs",
        "3",
        "--time",
        "5",
        "--memory",
        "2",
        "--setup",
        "umask 022",
    ];
    let (status, stdout, stderr) = cluster.study(&[&grid[..], &asked].concat());
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    assert!(stderr.contains("6 trials are with Slurm as job "), "{stderr}");
    assert!(stderr.contains("6 trials ran, 0 were there already, 2 failed"), "{stderr}");
    assert!(stdout.contains("With `weight=2`, fd is 10 higher than with `weight=1`, which is worse"), "{stdout}");
    assert!(stderr.contains("failed at toy.rhai:3"), "{stderr}");
    assert_eq!(cluster.count("SELECT count(*) FROM trial WHERE status = 'finished' AND peak_memory > 0"), 4);
    let batch = std::fs::read_to_string(work.join("studies/toy/slurm/0001/batch.sh")).unwrap();
    for line in ["--array=1-6%3", "--partition=short", "--time=5", "--mem=1908M", "--signal=B:USR1@60", "--requeue"] {
        assert!(batch.contains(&format!("#SBATCH {line}")), "{line} in {batch}");
    }
    // What the scheduler refuses is said in its words.
    let (status, _, stderr) =
        cluster.study(&["run", "toy.rhai", "--name", "far", "--on", "slurm", "--partition", "moon"]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("Invalid partition name specified"), "{stderr}");

    // The bits that a training has to come to, whatever happens to it.
    let (status, _, stderr) =
        cluster.study(&["run", "training.rhai", "--seeds", "1", "--name", "whole", "--threads", "1"]);
    assert_eq!(status, Some(0), "{stderr}");
    let mean = "SELECT CAST(1e15 * value AS INTEGER) FROM value WHERE name = 'mean' ORDER BY trial DESC LIMIT 1";
    let expected = cluster.count(mean);
    let away = ["run", "training.rhai", "--seeds", "1", "--name", "parts", "--again", "--on", "slurm", "--no-wait"];
    let (status, _, stderr) = cluster.study(&away);
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(
        cluster.count(
            "SELECT count(*) FROM trial t JOIN study s ON s.id = t.study WHERE s.name = 'parts' AND t.same_as IS NULL"
        ),
        1
    );
    // From here on no task needs the record: it is not even there.
    std::fs::rename(work.join("studies/record.sqlite"), work.join("record.aside")).unwrap();
    let saved = || {
        let trial = std::fs::read_dir(work.join("studies/parts/0001")).into_iter().flatten().flatten();
        let run = trial.map(|entry| entry.path()).find(|path| path.join("run.json").exists());
        run.filter(|run| run.join("checkpoints/1-gan.safetensors").exists())
    };
    cluster.until("the training saves", || saved().is_some());
    let run = saved().unwrap();
    let turns = || {
        let facts = std::fs::read_to_string(run.join("run.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&facts).unwrap()["resumed"].as_array().unwrap().len()
    };
    // Slurm's own signal ahead of the limit: the task saves and asks for another turn.
    let (job, _) = cluster.task().unwrap();
    said(&mut cluster.command("scancel", &["--signal=USR1", "--batch", &job]));
    cluster.until("the training goes on after its limit", || turns() == 1);
    // An operator's requeue.
    let (job, _) = cluster.task().unwrap();
    said(&mut cluster.command("scontrol", &["requeue", &job]));
    cluster.until("the training goes on after a requeue", || turns() == 2);
    // The node's end, without a word: kill -9 of the task and its trial.
    let (job, _) = cluster.task().unwrap();
    said(&mut cluster.command("scancel", &["--signal=KILL", "--full", &job]));
    cluster.until("the killed task is gone", || cluster.task().is_none());
    assert!(!work.join("studies/record.sqlite").exists(), "a task has opened the record");
    std::fs::rename(work.join("record.aside"), work.join("studies/record.sqlite")).unwrap();
    let (_, stdout, _) = cluster.study(&["watch", "parts"]);
    assert!(stdout.contains("1 interrupted"), "{stdout}");
    let (status, _, stderr) = cluster.study(&["resume", "parts", "--on", "slurm"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(turns(), 3);
    assert_eq!(cluster.count(mean), expected);

    // Taken back while it runs, and run by nobody else meanwhile.
    let away = ["run", "training.rhai", "--seeds", "2", "--name", "back", "--on", "slurm", "--no-wait", "--again"];
    let (status, _, stderr) = cluster.study(&away);
    assert_eq!(status, Some(0), "{stderr}");
    let (status, _, stderr) = cluster.study(&["resume", "back"]);
    assert_eq!(status, Some(1));
    assert!(stderr.starts_with("error: Slurm holds 2 trials of `back`"), "{stderr}");
    let (status, stdout, _) = cluster.study(&["cancel", "back"]);
    assert_eq!((status, stdout.trim()), (Some(0), "2 trials were with Slurm"));
    cluster.until("the tasks are gone", || cluster.task().is_none());
    let (status, stdout, _) = cluster.study(&["watch", "back"]);
    assert_eq!(status, Some(0));
    assert!(!stdout.contains("running") && !stdout.contains("failed"), "{stdout}");
}
