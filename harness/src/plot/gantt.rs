//! Gantt charts of ranks: one panel a system, one lane a rank.

use super::axis::{Axis, Frame, Scale, TICK_SIZE, TITLE_SIZE};
use super::canvas::{self, Align, Canvas, Svg};
use super::figures::{Gantt, GanttMove, GanttSpan};
use super::legend::{self, Entry, Key};
use super::palette::{
    BLACK, FRAME, GRID, HELD, INK, MUTED, PAPER, VERMILLION, WAITING, class_fill, lighten, on,
};
use super::text;
use flexdit_core::{Nanos, Stage};
use plotters::style::RGBColor;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 26.0;

/// Several systems in one window of time.
#[derive(Clone, Debug, PartialEq)]
pub struct GanttChart<'a> {
    /// Heading.
    pub heading: String,
    /// Second line.
    pub subtitle: String,
    /// Class names, by index.
    pub classes: &'a [String],
    /// Systems, from the top.
    pub systems: Vec<&'a Gantt>,
    /// The stretch of time shown.
    pub window: (Nanos, Nanos),
}

impl GanttChart<'_> {
    /// Draws the chart.
    pub fn draw(&self) -> Svg {
        let entries = self.entries();
        let top = legend::height(&self.subtitle, &entries, WIDTH);
        let tall = |gantt: &Gantt| f64::from(gantt.ranks) * lane(gantt) + 26.0;
        let page = top + self.systems.iter().map(|gantt| tall(gantt)).sum::<f64>() + 52.0;
        canvas::draw(WIDTH, page, &self.heading, |canvas| {
            legend::draw(canvas, &self.heading, &self.subtitle, &entries);
            let mut upper = top;
            for (i, gantt) in self.systems.iter().enumerate() {
                let last = i + 1 == self.systems.len();
                let title = if last { "time since the start of the run (s)" } else { "" };
                let (lo, hi) = (self.window.0.as_secs_f64(), self.window.1.as_secs_f64());
                let mut x = Axis::new(Scale::Linear { lo, hi: hi.max(lo + 1e-9) }, title);
                if !last {
                    x.ticks.iter_mut().for_each(|tick| tick.label.clear());
                }
                let frame = Frame {
                    from: (LEFT, upper + 22.0),
                    to: (WIDTH - RIGHT, upper + tall(gantt) - 4.0),
                    x,
                    y: Axis {
                        scale: Scale::Linear { lo: 0.0, hi: 1.0 },
                        ticks: Vec::new(),
                        title: String::new(),
                    },
                };
                draw_system(canvas, &frame, gantt);
                upper += tall(gantt);
            }
        })
    }

    fn entries(&self) -> Vec<Entry> {
        let used = |class: usize| {
            let mut spans = self.systems.iter().flat_map(|gantt| &gantt.spans);
            spans.any(|span| usize::from(span.class) == class)
        };
        let mut entries: Vec<Entry> = (0..self.classes.len().min(8))
            .filter(|&class| used(class))
            .map(|i| Entry::new(Key::Fill(class_fill(i)), format!("{} denoise", self.classes[i])))
            .collect();
        let blue = class_fill(0);
        let stages = [
            (Key::Fill(lighten(blue, 0.6)), "text-encode (pale)"),
            (Key::Striped(blue, PAPER), "vae-decode (striped)"),
            (Key::Fill(HELD), "held, not computing"),
            (Key::Outline, "idle"),
        ];
        entries.extend(stages.map(|(key, text)| Entry::new(key, text)));
        if self.systems.iter().any(|gantt| !gantt.waiting.is_empty()) {
            entries.push(Entry::new(Key::Fill(WAITING), "idle while work waits"));
        }
        if self.systems.iter().any(|gantt| !gantt.moves.is_empty()) {
            entries.push(Entry::new(Key::Tick(BLACK), "migration arrives"));
        }
        if self.systems.iter().any(|gantt| gantt.spans.iter().any(|span| span.failed)) {
            entries.push(Entry::new(Key::Tick(VERMILLION), "lost work"));
        }
        entries
    }
}

/// Height of a lane: narrower as there are more.
fn lane(gantt: &Gantt) -> f64 {
    match gantt.ranks {
        0..=2 => 22.0,
        3..=4 => 18.0,
        5..=8 => 14.0,
        _ => 10.0,
    }
}

fn draw_system(canvas: &Canvas<'_>, frame: &Frame, gantt: &Gantt) {
    let high = lane(gantt);
    canvas.label((frame.from.0, frame.from.1 - 10.0), &gantt.system, TITLE_SIZE, Align::Left);
    frame.draw_x(canvas, true);
    canvas.rect(frame.from, frame.to, PAPER);
    for tick in &frame.x.ticks {
        let x = frame.x_at(tick.at);
        canvas.line(&[(x, frame.from.1), (x, frame.to.1)], GRID, 0.8);
    }
    for &(from, to) in &gantt.waiting {
        let (a, b) = (inside(frame, from), inside(frame, to));
        if b - a > 0.2 {
            canvas.rect((a, frame.from.1), (b, frame.to.1), WAITING);
        }
    }
    for rank in 0..gantt.ranks {
        let y = frame.from.1 + f64::from(rank) * high;
        canvas.line(&[(frame.from.0, y), (frame.to.0, y)], GRID, 0.6);
        let sparse = gantt.ranks > 8 && rank % 4 != 0;
        if !sparse {
            let label = if rank == 0 { "rank 0".to_owned() } else { rank.to_string() };
            canvas.label((frame.from.0 - 7.0, y + high / 2.0), &label, TICK_SIZE, Align::Right);
        }
    }
    for span in &gantt.spans {
        draw_span(canvas, frame, gantt, span);
    }
    for transfer in &gantt.moves {
        draw_move(canvas, frame, gantt, transfer);
    }
    canvas.outline(frame.from, frame.to, FRAME, 1.0);
    if frame.holds(gantt.makespan.as_secs_f64(), 0.0) && gantt.makespan < gantt.until {
        let x = frame.x_at(gantt.makespan.as_secs_f64());
        canvas.line(&[(x, frame.from.1), (x, frame.to.1)], MUTED, 1.2);
        let room = frame.to.0 - x - 8.0;
        let note = text::fit("end of this run", 10.0, room);
        canvas.text((x + 5.0, frame.from.1 + 8.0), &note, 10.0, Align::Left, MUTED);
    }
}

fn draw_span(canvas: &Canvas<'_>, frame: &Frame, gantt: &Gantt, span: &GanttSpan) {
    let high = lane(gantt);
    let from = inside(frame, span.started);
    let to = inside(frame, span.ended).max(from + 0.25);
    if from >= frame.to.0 || inside(frame, span.ended) <= frame.from.0 {
        return;
    }
    let color = class_fill(usize::from(span.class));
    let computing = usize::from(span.computing).min(span.ranks.len());
    let (active, held) = span.ranks.split_at(computing);
    for (first, count) in runs(held, gantt.ranks) {
        let upper = frame.from.1 + f64::from(first) * high + 1.0;
        let lower = upper + f64::from(count) * high - 2.0;
        canvas.rect((from, upper), (to, lower), HELD);
    }
    for (i, (first, count)) in runs(active, gantt.ranks).into_iter().enumerate() {
        let upper = frame.from.1 + f64::from(first) * high + 1.0;
        let lower = upper + f64::from(count) * high - 2.0;
        let (a, b) = ((from, upper), (to, lower));
        let fill = if span.stage == Stage::TextEncode { lighten(color, 0.6) } else { color };
        canvas.rect(a, b, fill);
        if span.stage == Stage::VaeDecode {
            legend::stripes(canvas, a, b, PAPER);
        }
        let edge = if span.failed { VERMILLION } else { darker(color) };
        if to - from > 2.5 {
            canvas.outline(a, b, edge, if span.failed { 1.6 } else { 0.6 });
        }
        let number = span.request.to_string();
        let fits = text::width(&number, 10.0) + 6.0 < to - from && lower - upper >= 11.0;
        if i == 0 && fits && span.stage == Stage::Denoise {
            let middle = ((from + to) / 2.0, (upper + lower) / 2.0);
            canvas.text(middle, &number, 10.0, Align::Center, on(fill));
        }
    }
}

fn draw_move(canvas: &Canvas<'_>, frame: &Frame, gantt: &Gantt, transfer: &GanttMove) {
    let high = lane(gantt);
    if !frame.holds(transfer.ended.as_secs_f64(), 0.0) {
        return;
    }
    let from = inside(frame, transfer.started);
    let to = inside(frame, transfer.ended).max(from + 1.2).min(frame.to.0);
    for &rank in transfer.ranks.iter().filter(|&&rank| rank < gantt.ranks) {
        let upper = frame.from.1 + f64::from(rank) * high;
        canvas.rect((from, upper + 0.5), (to, upper + high - 0.5), INK);
    }
}

/// The pixel of an instant, or the nearer edge of the frame.
fn inside(frame: &Frame, at: Nanos) -> f64 {
    frame.x_at(at.as_secs_f64()).clamp(frame.from.0, frame.to.0)
}

fn darker(color: RGBColor) -> RGBColor {
    RGBColor(color.0 / 2, color.1 / 2, color.2 / 2)
}

/// Consecutive ranks below `shown`, as (first, count): drawn as one block, so that degree is visible.
fn runs(ranks: &[u16], shown: u16) -> Vec<(u16, u16)> {
    let mut sorted: Vec<u16> = ranks.iter().copied().filter(|&rank| rank < shown).collect();
    sorted.sort_unstable();
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for rank in sorted {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == rank => *count += 1,
            _ => runs.push((rank, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ranks_join_into_one_block() {
        assert_eq!(runs(&[3, 0, 1, 6, 20], 16), [(0, 2), (3, 1), (6, 1)]);
    }
}
