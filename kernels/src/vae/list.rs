//! Names and shapes of all tensors of a decoder, without making any. A test holds it against what loading asks for.

use super::COLOURS;
use super::config::Config;
use crate::model::TensorSpec;
use crate::tensor::Shape;

/// All tensors of a decoder.
pub(super) fn tensors(config: &Config) -> Vec<TensorSpec> {
    let mut list = List::default();
    let (latent, widest) = (config.latent_channels, config.widest());
    list.conv("post_quant_conv", [latent; 2], [1; 3]);
    list.conv("decoder.conv_in", [latent, widest], [3; 3]);
    list.residual("decoder.mid_block.resnets.0", [widest; 2]);
    list.attention("decoder.mid_block.attentions.0", widest);
    list.residual("decoder.mid_block.resnets.1", [widest; 2]);
    let mut last = widest;
    for (index, [inputs, outputs]) in config.levels().into_iter().enumerate() {
        let level = format!("decoder.up_blocks.{index}");
        list.residual(&format!("{level}.resnets.0"), [inputs, outputs]);
        for block in 1..=config.residual_blocks {
            list.residual(&format!("{level}.resnets.{block}"), [outputs; 2]);
        }
        if let Some(doubles) = config.temporal.get(index) {
            let (name, next) = match config.shortcut {
                true => ("upsampler", outputs),
                false => ("upsamplers.0", outputs / 2),
            };
            list.one(format!("{level}.{name}.resample.1.weight"), [next, outputs, 3, 3]);
            list.one(format!("{level}.{name}.resample.1.bias"), [next]);
            if *doubles {
                let time = format!("{level}.{name}.time_conv");
                list.conv(&time, [outputs, 2 * outputs], [3, 1, 1]);
            }
        }
        last = outputs;
    }
    list.one("decoder.norm_out.gamma".into(), [last, 1, 1, 1]);
    list.conv("decoder.conv_out", [last, COLOURS * config.patch * config.patch], [3; 3]);
    list.0
}

#[derive(Default)]
struct List(Vec<TensorSpec>);

impl List {
    fn one(&mut self, name: String, shape: impl Into<Shape>) {
        self.0.push(TensorSpec { name, shape: shape.into() });
    }

    fn conv(&mut self, name: &str, [inputs, outputs]: [usize; 2], [t, h, w]: [usize; 3]) {
        self.one(format!("{name}.weight"), [outputs, inputs, t, h, w]);
        self.one(format!("{name}.bias"), [outputs]);
    }

    fn residual(&mut self, name: &str, [inputs, outputs]: [usize; 2]) {
        self.one(format!("{name}.norm1.gamma"), [inputs, 1, 1, 1]);
        self.conv(&format!("{name}.conv1"), [inputs, outputs], [3; 3]);
        self.one(format!("{name}.norm2.gamma"), [outputs, 1, 1, 1]);
        self.conv(&format!("{name}.conv2"), [outputs; 2], [3; 3]);
        if inputs != outputs {
            self.conv(&format!("{name}.conv_shortcut"), [inputs, outputs], [1; 3]);
        }
    }

    fn attention(&mut self, name: &str, channels: usize) {
        self.one(format!("{name}.norm.gamma"), [channels, 1, 1]);
        for (layer, outputs) in [("to_qkv", 3 * channels), ("proj", channels)] {
            self.one(format!("{name}.{layer}.weight"), [outputs, channels, 1, 1]);
            self.one(format!("{name}.{layer}.bias"), [outputs]);
        }
    }
}
