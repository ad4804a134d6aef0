//! What a picture's file says of how it was made.

use super::history::Placement;
use serde::{Deserialize, Serialize};

/// How a picture was made; the text entries of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The experiment's name.
    pub experiment: String,
    /// The system that ran it.
    pub system: String,
    /// The seed of the run.
    pub seed: u64,
    /// The seed of the request's noise.
    pub noise_seed: u64,
    /// The request's ordinal.
    pub request: u32,
    /// Its class.
    pub class: String,
    /// Its model.
    pub model: String,
    /// Frames, pixel rows and pixel columns.
    pub shape: [u32; 3],
    /// Denoising steps.
    pub steps: u32,
    /// What it shows; `None` for random tokens.
    pub prompt: Option<String>,
    /// What it keeps away from; `None` for random tokens, or without guidance.
    pub negative_prompt: Option<String>,
    /// Every task of the request, in order.
    pub placements: Vec<Placement>,
}

impl About {
    /// The entries, keyword and text: what is one word is text, the history of placements is JSON.
    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        let placements = serde_json::to_string(&self.placements).unwrap_or_default();
        let [frames, height, width] = self.shape;
        let mut entries = vec![
            ("Software", concat!("flexdit ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("Experiment", self.experiment.clone()),
            ("System", self.system.clone()),
            ("Seed", self.seed.to_string()),
            ("Noise seed", self.noise_seed.to_string()),
            ("Request", self.request.to_string()),
            ("Class", self.class.clone()),
            ("Model", self.model.clone()),
            ("Shape", format!("{width}x{height}x{frames}")),
            ("Steps", self.steps.to_string()),
            ("Placements", placements),
        ];
        let prompts = [("Prompt", &self.prompt), ("Negative prompt", &self.negative_prompt)];
        entries.extend(prompts.into_iter().filter_map(|(key, text)| Some((key, text.clone()?))));
        entries
    }

    /// What the entries say; `None` if one is missing or not as [`About::entries`] writes it.
    pub(super) fn from_entries(entries: &[(String, String)]) -> Option<Self> {
        let text = |key: &str| {
            entries.iter().find(|(keyword, _)| keyword == key).map(|(_, text)| text.clone())
        };
        let mut sizes = text("Shape")?.split('x').map(str::parse).collect::<Result<Vec<u32>, _>>();
        let sizes: &mut [u32; 3] = sizes.as_deref_mut().ok()?.try_into().ok()?;
        sizes.reverse();
        Some(Self {
            experiment: text("Experiment")?,
            system: text("System")?,
            seed: text("Seed")?.parse().ok()?,
            noise_seed: text("Noise seed")?.parse().ok()?,
            request: text("Request")?.parse().ok()?,
            class: text("Class")?,
            model: text("Model")?,
            shape: *sizes,
            steps: text("Steps")?.parse().ok()?,
            prompt: text("Prompt"),
            negative_prompt: text("Negative prompt"),
            placements: serde_json::from_str(&text("Placements")?).ok()?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> About {
        let placement = |stage: &str, first_step, steps, layout: &str, ranks: &[u16]| Placement {
            stage: stage.into(),
            first_step,
            steps,
            degree: ranks.len() as u16,
            layout: layout.into(),
            ranks: ranks.to_vec(),
            held: Vec::new(),
            failed: false,
        };
        About {
            experiment: "Über-Probe".into(),
            system: "elastic".into(),
            seed: 3,
            noise_seed: u64::MAX,
            request: 7,
            class: "S".into(),
            model: "tiny-image".into(),
            shape: [1, 32, 48],
            steps: 4,
            prompt: Some("ein roter Fuchs, \u{96ea}\nand a \"sea\"".into()),
            negative_prompt: None,
            placements: vec![
                placement("text-encode", 0, 0, "1", &[0]),
                placement("denoise", 0, 2, "u2", &[1, 0]),
                placement("denoise", 2, 2, "1", &[1]),
                placement("vae-decode", 0, 0, "patch2", &[0, 1]),
            ],
        }
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        let about = sample();
        let entries: Vec<_> =
            about.entries().into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
        assert_eq!(About::from_entries(&entries), Some(about));
        assert_eq!(About::from_entries(&entries[1..4]), None);
    }
}
