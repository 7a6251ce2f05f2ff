//! The options of studies.

crate::options! {
    /// Options of `study::grid`.
    pub struct PlanOptions("study::grid") {
        /// The folder that studies and their record lie in.
        pub root: String = "studies".into(),
        /// Where trials compute: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`.
        pub device: String = "auto".into(),
    }
}

crate::options! {
    /// Options of `study::list`.
    pub struct ListOptions("study::list") {
        /// The seeds of every item that names none.
        pub seeds: Vec<u64> = vec![1, 2, 3],
        /// The folder that studies and their record lie in.
        pub root: String = "studies".into(),
        /// Where trials compute: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`.
        pub device: String = "auto".into(),
    }
}

crate::options! {
    /// Options of `study::random`.
    pub struct RandomOptions("study::random") {
        /// How many settings are drawn; each is tried with every seed.
        pub draws: usize = 20,
        /// What the draws depend on.
        pub draw_seed: u64 = 1,
        /// The folder that studies and their record lie in.
        pub root: String = "studies".into(),
        /// Where trials compute: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`.
        pub device: String = "auto".into(),
    }
}

crate::options! {
    /// Options of `study::halving`.
    pub struct HalvingOptions("study::halving") {
        /// What the script reports by step, and settings are compared by.
        pub metric: String = "fd".into(),
        /// The steps at which settings are compared, rising.
        pub rungs: Vec<u64> = vec![250, 500, 1000],
        /// The share of the settings that goes on.
        pub keep: f64 = 0.5,
        /// `"lower"` or `"higher"`; not needed for a metric that Fewlab knows.
        pub better: Option<String> = None,
        /// How many settings are drawn; 0 for every combination.
        pub draws: usize = 0,
        /// What the draws depend on.
        pub draw_seed: u64 = 1,
        /// The folder that studies and their record lie in.
        pub root: String = "studies".into(),
        /// Where trials compute: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`.
        pub device: String = "auto".into(),
    }
}

crate::options! {
    /// Options of `study::open` and `study::all`.
    pub struct OpenOptions("study::open") {
        /// The folder that studies and their record lie in.
        pub root: String = "studies".into(),
    }
}

crate::options! {
    /// Options of `run` of a study.
    pub struct RunOptions("run") {
        /// Where: `"local"`, each trial in a process of its own; `"here"`, one after the other in this one; `"slurm"`, on a cluster.
        pub on: String = "local".into(),
        /// Trials at a time; 0 for one on this machine, for as many as a cluster gives.
        pub jobs: usize = 0,
        /// Threads of all trials together, with `"local"`; 0 for all cores.
        pub threads: usize = 0,
        /// Runs trials again that are done; what they left is put aside.
        pub again: bool = false,
        /// Runs trials again that failed.
        pub failed: bool = false,
        /// Gigabytes of memory that one trial may hold; what takes more fails.
        pub memory: Option<f64> = None,
        /// Seconds that one trial may take; what takes longer fails.
        pub seconds: Option<f64> = None,
        /// Seconds that the whole study may take: it is refused, or ends, as soon as its estimate is above.
        pub within: Option<f64> = None,
        /// Devices that trials take turns on, with `"local"`, such as `["cuda:0", "cuda:1"]`; if empty, each GPU where several trials
        /// run side by side and there are several, else the study's own.
        pub devices: Vec<String> = Vec::new(),
        /// Slurm's partition.
        pub partition: Option<String> = None,
        /// Slurm's account.
        pub account: Option<String> = None,
        /// How long Slurm may let a trial run before it saves and waits for its next turn: `"30"` minutes, `"2:00:00"`.
        pub time: Option<String> = None,
        /// GPUs of each trial with Slurm.
        pub gpus: usize = 0,
        /// Cores of each trial with Slurm; 0 for one.
        pub cores: usize = 0,
        /// Seconds before the end of `time` at which a trial saves; 60 if left out.
        pub grace: Option<u64> = None,
        /// Words for `sbatch` besides, such as `["--qos=low"]`.
        pub sbatch: Vec<String> = Vec::new(),
        /// What the shell of a Slurm job does first, such as `"module load cuda"`.
        pub setup: String = String::new(),
        /// Whether to wait for what Slurm was given; `watch` waits later.
        pub wait: bool = true,
    }
}

crate::options! {
    /// Options of `table` and `compare` of a study.
    pub struct TableOptions("table") {
        /// `"lower"` or `"higher"`; not needed for a metric that Fewlab knows.
        pub better: Option<String> = None,
    }
}

crate::options! {
    /// Options of `plot`, `plot_steps`, `plot_cost` and `plot_samples` of a study.
    pub struct PlotOptions("plot") {
        /// Parameters whose settings are drawn apart; `plot` draws over the others, the rest takes all that differ if this is empty.
        pub by: Vec<String> = Vec::new(),
    }
}
