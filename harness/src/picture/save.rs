//! `--save-images`: the pictures of every run of a campaign, in one folder.
//!
//! While a run goes on its results go to a [`Spool`]; PNG files are made between this run and the next.

use super::{About, ImageFolder, Placements, Shots, Spool};
use crate::experiment::Loaded;
use crate::input::InputError;
use crate::publish::run_name;
use crate::real::{Results, Run, Taker};
use flexdit_core::{Request, RequestId};
use flexdit_ranks::dit::Dit;
use flexdit_ranks::{Completed, Sink};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Saves the pictures of a campaign.
pub struct SaveImages<'a> {
    loaded: &'a Loaded,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    folder: ImageFolder,
    waited: u64,
}

impl<'a> SaveImages<'a> {
    /// Saves them in this folder, which is new or empty.
    ///
    /// # Errors
    /// As [`ImageFolder::create`].
    pub fn create(path: &Path, loaded: &'a Loaded) -> Result<Self, InputError> {
        let state = State { folder: ImageFolder::create(path)?, waited: 0 };
        Ok(Self { loaded, path: path.to_owned(), state: Mutex::new(state) })
    }

    /// Writes the table; returns what to say of the pictures, in one line.
    ///
    /// # Errors
    /// As [`ImageFolder::finish`].
    pub fn finish(self) -> Result<String, InputError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let count = state.folder.len();
        let mut text = format!("pictures: {count}, listed in {}", state.folder.finish()?.display());
        if state.waited > 0 {
            let waited = state.waited;
            text += &format!("; runs waited {waited} times for the disk, which their times show");
        }
        Ok(text)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwritable(&self, error: &io::Error) -> InputError {
        InputError::io(&self.path, "write pictures of a run", error)
    }
}

impl Results for SaveImages<'_> {
    fn open<'a>(&'a self, run: &Run<'_>) -> Result<Box<dyn Taker + 'a>, InputError> {
        let dit = Arc::clone(&run.dit);
        let develop = move |done: Completed| (done.request.id, dit.picture(&done).into());
        let folder = self.state().folder.path().to_owned();
        let spool = Spool::start(&folder, develop).map_err(|error| self.unwritable(&error))?;
        let key = run.key;
        Ok(Box::new(Open {
            all: self,
            spool,
            run: run_name(self.loaded, key.point, key.system, key.seed),
            dit: Arc::clone(&run.dit),
            requests: run.workload.requests.clone(),
            about: About {
                experiment: run.setting.experiment.name.clone(),
                system: key.system.to_owned(),
                seed: key.seed,
                ..About::default()
            },
            classes: run.workload.classes.iter().map(|class| class.name.clone()).collect(),
            models: run.setting.models.iter().map(|model| model.name).collect(),
        }))
    }
}

/// The pictures of one run.
struct Open<'a> {
    all: &'a SaveImages<'a>,
    spool: Spool<Completed>,
    run: String,
    dit: Arc<Dit>,
    requests: Vec<Request>,
    /// What all of them have in common.
    about: About,
    classes: Vec<String>,
    models: Vec<&'static str>,
}

impl Sink for Open<'_> {
    fn completed(&mut self, completed: Completed) {
        self.spool.take(completed);
    }
}

impl Taker for Open<'_> {
    fn finish(self: Box<Self>, placements: &Placements) -> Result<(), InputError> {
        let Self { all, spool, run, dit, requests, about, classes, models } = *self;
        let shots: Shots = spool.finish().map_err(|error| all.unwritable(&error))?;
        let mut state = all.state();
        state.waited += shots.waited();
        for shot in shots.list() {
            let pixels = shots.read(shot).map_err(|error| all.unwritable(&error))?;
            let RequestId(id) = shot.request;
            let request = &requests[shot.request.index()];
            let prompt = dit.prompts().of(shot.request);
            let negative = prompt.filter(|_| request.shape.guidance);
            let negative = negative.map(|_| dit.prompts().negative.clone());
            let about = About {
                noise_seed: dit.seed(shot.request),
                request: id,
                class: classes[request.class.index()].clone(),
                model: models[request.shape.model.index()].to_owned(),
                shape: shot.shape,
                steps: request.shape.steps,
                prompt: prompt.map(str::to_owned),
                negative_prompt: negative,
                placements: placements.of(shot.request).to_vec(),
                ..about.clone()
            };
            state.folder.add(&run, &pixels, &about)?;
        }
        Ok(())
    }
}
