//! Reading a scenario.

use super::super::params::{ParamKind, Params, Value};
use super::super::registry;
use crate::cost::{DegreeCost, Estimator, ShapeCosts};
use crate::event::Event;
use crate::ids::{ClassId, Rank, RequestId};
use crate::migration::StateSpec;
use crate::parallelism::Parallelism;
use crate::request::{Request, Shape};
use crate::units::{Bytes, Nanos};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Step times of the named shapes.
#[derive(Clone, Debug, Default)]
pub(super) struct Shapes(Vec<(String, Vec<DegreeCost>)>);

impl Estimator for Shapes {
    /// The shape's height is its index here.
    fn costs(&self, shape: &Shape) -> ShapeCosts {
        let Some((_, steps)) = self.0.get(shape.height as usize) else {
            return ShapeCosts::default();
        };
        let time = Nanos::from_millis(10);
        let single = DegreeCost { degree: 1, parallelism: Parallelism::SINGLE, time };
        let state = StateSpec { grid: [1, 8, 8], bytes_per_token: 4, embedding: Bytes(64) };
        let decodes = [single].into();
        ShapeCosts { encode: Some(time), steps: steps.clone(), decodes, state }
    }
}

pub(super) struct Script<'a> {
    pub policy: &'a str,
    pub params: Params,
    pub world: u16,
    pub shapes: Shapes,
    /// What happens from outside, by time.
    pub events: Vec<(Nanos, Event)>,
    /// Name of each request's shape, by ordinal.
    pub names: Vec<String>,
}

fn number<T: core::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("`{word}` is not a number"))
}

fn millis(word: &str) -> Nanos {
    Nanos::from_millis_f64(number(word))
}

fn pair(word: &str) -> (&str, &str) {
    word.split_once('=').unwrap_or_else(|| panic!("`{word}` is not key=value"))
}

impl<'a> Script<'a> {
    pub fn parse(text: &'a str) -> Self {
        let mut script = Self {
            policy: "fallback",
            params: Params::new(),
            world: 1,
            shapes: Shapes::default(),
            events: Vec::new(),
            names: Vec::new(),
        };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] => {}
                ["policy", name, ref params @ ..] => script.policy(name, params),
                ["world", ranks] => script.world = number(ranks),
                ["shape", name, ref times @ ..] => script.shape(name, times),
                ["at", time, "cancel", id] => {
                    script.push(time, Event::Cancelled(RequestId(number(id))));
                }
                ["at", time, "down", rank] => {
                    script.push(time, Event::RankDown(Rank(number(rank))))
                }
                ["at", time, "up", rank] => script.push(time, Event::RankUp(Rank(number(rank)))),
                ["at", time, name, ref rest @ ..] => script.request(time, name, rest),
                _ => panic!("`{line}` is not a line of a scenario"),
            }
        }
        script.events.sort_by_key(|(time, _)| *time);
        script
    }

    fn push(&mut self, time: &str, event: Event) {
        self.events.push((millis(time), event));
    }

    fn policy(&mut self, name: &'a str, params: &[&str]) {
        self.policy = name;
        let info = registry::find(name).unwrap_or_else(|| panic!("no policy is named `{name}`"));
        for (key, word) in params.iter().map(|word| pair(word)) {
            let declared = info.params.iter().find(|param| param.name == key);
            let value = match declared.map(|param| param.kind) {
                Some(ParamKind::Flag { .. }) => Value::Flag(word == "true"),
                Some(ParamKind::Duration { .. }) => Value::Duration(millis(word)),
                _ => Value::Integer(number(word)),
            };
            self.params = core::mem::take(&mut self.params).with(key, value);
        }
    }

    fn shape(&mut self, name: &str, times: &[&str]) {
        let degrees = times.iter().enumerate().filter(|(_, word)| **word != "-");
        let cost = |(i, word): (usize, &&str)| {
            let parallelism = Parallelism::ulysses(1 << i);
            DegreeCost { degree: parallelism.degree(), parallelism, time: millis(word) }
        };
        self.shapes.0.push((name.to_string(), degrees.map(cost).collect()));
    }

    fn request(&mut self, time: &str, name: &str, rest: &[&str]) {
        let index = self.shapes.0.iter().position(|(shape, _)| shape == name);
        let height = index.unwrap_or_else(|| panic!("no shape is named `{name}`")) as u32;
        let mut request = Request {
            id: RequestId(self.names.len() as u32),
            class: ClassId(height as u16),
            shape: Shape { height, steps: 1, ..Shape::default() },
            chunk_steps: 1,
            priority: 0,
            preemptible: true,
            arrival: millis(time),
            deadline: None,
            t_single: None,
        };
        for (key, word) in rest.iter().map(|word| pair(word)) {
            match key {
                "steps" => request.shape.steps = number(word),
                "due" => request.deadline = Some(millis(word)),
                "priority" => request.priority = number(word),
                "chunk" => request.chunk_steps = number(word),
                _ => panic!("a request has no `{key}`"),
            }
        }
        self.names.push(name.to_string());
        self.push(time, Event::Arrived(request));
    }
}
