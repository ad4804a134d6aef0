//! What a task costs more if ranks are processes: tasks that only copy their state, on a thread and on a process in turns.
//! Prints measured figures; run it in release on a quiet machine.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("ranks that are processes need Linux");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use flexdit_core::cost::{DegreeCost, Estimator, ShapeCosts};
    use flexdit_core::migration::StateSpec;
    use flexdit_core::model::model;
    use flexdit_core::policy::{Params, Value, registry};
    use flexdit_core::scheduler::{Scheduler, SchedulerConfig};
    use flexdit_core::{
        ClassId, ModelId, Nanos, Parallelism, Request, RequestId, Shape, Stage, Workload,
    };
    use flexdit_ranks::process::{Processes, Settings, SharedWorld, serve};
    use flexdit_ranks::{
        Buffer, Compute, ComputeError, Driver, Fabric, GroupFree, Job, Options, Output, Peers,
        RankMemory, RowTensor, State, Tokens,
    };
    use std::process::Command;
    use std::sync::Arc;

    type Failed = Box<dyn std::error::Error>;

    /// Bytes of a latent row; a picture of 64 x 64 pixels has 16 rows.
    const ROW: usize = 1024;
    /// Tasks of a run, and runs of each kind.
    const TASKS: u32 = 400;
    const PAIRS: usize = 7;

    /// Copies its input and computes nothing; asks before every step.
    struct Copier;

    impl Compute for Copier {
        fn state(&self, shape: &Shape) -> Result<State, ComputeError> {
            let rows = vec![RowTensor { name: "latents", row_bytes: ROW }];
            Ok(State { grid: [1, shape.height / 16, shape.width / 16], rows, whole: Vec::new() })
        }

        fn run(&self, job: &Job<'_>, _: &mut Peers<'_>) -> Result<Output, ComputeError> {
            let rows = match job.task.stage {
                Stage::TextEncode => self.initial(job.request, job.tokens, job.memory())?,
                Stage::Denoise => {
                    (0..job.task.steps).try_for_each(|step| job.step(step))?;
                    let mut copy = job.memory().builder(job.rows(0).len())?;
                    copy.push(job.rows(0));
                    vec![copy.finish()]
                }
                Stage::VaeDecode => Vec::new(),
            };
            Ok(Output { rows, whole: Vec::new() })
        }

        fn initial(
            &self,
            _: &Request,
            tokens: &Tokens,
            memory: &Arc<RankMemory>,
        ) -> Result<Vec<Buffer>, ComputeError> {
            Ok(vec![memory.zeroed(tokens.len() as usize * ROW)?])
        }
    }

    struct Beliefs;

    impl Estimator for Beliefs {
        fn costs(&self, shape: &Shape) -> ShapeCosts {
            let spec = model("qwen-image").expect("listed");
            let state = StateSpec::of(spec, shape).expect("a shape of the model");
            let parallelism = Parallelism::SINGLE;
            let cost = DegreeCost { degree: 1, parallelism, time: Nanos::from_millis(1) };
            ShapeCosts { encode: Some(Nanos(1)), steps: vec![cost], decodes: vec![cost], state }
        }
    }

    /// Time of a denoising chunk from one to the next, on one rank; every chunk is decided by itself.
    fn run(
        compute: Arc<dyn Compute>,
        fabric: &dyn Fabric,
        side: u32,
        steps: u32,
    ) -> Result<Nanos, Failed> {
        let shape = Shape {
            model: ModelId(0),
            height: side,
            width: side,
            frames: 1,
            text_tokens: 16,
            steps: TASKS * steps,
            ..Shape::default()
        };
        let request = Request {
            id: RequestId(0),
            class: ClassId(0),
            shape,
            chunk_steps: steps,
            priority: 0,
            preemptible: true,
            arrival: Nanos::ZERO,
            deadline: None,
            t_single: None,
        };
        let params = Params::new().with("degree", Value::Integer(1));
        let policy = registry::build("fcfs", &params, 1)?;
        let mut system = Scheduler::new(SchedulerConfig::new(1), policy, Box::new(Beliefs));
        let workload = Workload { requests: vec![request], ..Workload::default() };
        let driver = Driver::new(Options::new(1), compute, fabric);
        let outcome = driver.run(&mut system, workload, &mut (), &mut ())?;
        Ok(Nanos(outcome.end.0 / u64::from(TASKS)))
    }

    /// A run on a thread, and one on a process.
    fn pair(side: u32, steps: u32) -> Result<[Nanos; 2], Failed> {
        let thread = run(Arc::new(Copier), &GroupFree::default(), side, steps)?;
        let settings = Settings { world: 1, pin: true, spec: String::new() };
        let world = Arc::new(SharedWorld::new(1, &GroupFree::default()));
        let program = std::env::current_exe()?;
        let processes = Processes::start(&settings, Arc::new(Copier), world, |_| {
            let mut command = Command::new(&program);
            command.arg("rank");
            command
        });
        let processes = Arc::new(processes?);
        let compute = Arc::clone(&processes) as Arc<dyn Compute>;
        Ok([thread, run(compute, &*processes, side, steps)?])
    }

    pub(super) fn main() -> Result<(), Failed> {
        if std::env::args().nth(1).is_some_and(|role| role == "rank") {
            let join = |address: &str, rank, world| GroupFree::default().join(address, rank, world);
            return Ok(serve(|_| Ok(Arc::new(Copier)), join)?);
        }
        println!("measured, {} cores", std::thread::available_parallelism().map_or(1, usize::from));
        println!(
            "time of a task that copies its state, {TASKS} tasks a run, median of {PAIRS} runs in turns"
        );
        for (side, steps) in [(64, 1), (512, 1), (1600, 1), (64, 10)] {
            let mut times = [const { Vec::new() }; 2];
            for _ in 0..PAIRS {
                let found = pair(side, steps)?;
                times.iter_mut().zip(found).for_each(|(times, time)| times.push(time));
            }
            let [thread, process] = times.map(|mut times| {
                times.sort_unstable();
                times[PAIRS / 2]
            });
            let bytes = (side as usize / 16).pow(2) * ROW;
            let more = process.saturating_sub(thread);
            println!(
                "  state {bytes:>9} bytes, {steps:>2} steps  thread {thread:>12}  process {process:>12}  more {more:>12}"
            );
        }
        Ok(())
    }
}
