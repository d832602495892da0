//! A run as a chart of characters.

use std::fmt::Write;

use super::score::{Score, Second};

const WIDTH: usize = 72;
const HEIGHT: usize = 12;

/// What is served (█) and what is not of that which could be (·), over time, and how many servers are in service.
pub fn chart(score: &Score) -> String {
    let columns = columns(&score.seconds, WIDTH);
    let most = columns.iter().map(|it| it.good.max(it.ideal)).fold(1.0, f64::max);
    let mut text = String::new();
    for row in (1..=HEIGHT).rev() {
        let level = (row as f64 - 0.5) / HEIGHT as f64 * most;
        let mark = match row {
            HEIGHT => format!("{most:.0}/s"),
            _ => String::new(),
        };
        let line: String = columns
            .iter()
            .map(|it| {
                if it.good >= level {
                    '█'
                } else if it.ideal >= level {
                    '·'
                } else {
                    ' '
                }
            })
            .collect();
        let _infallible = writeln!(text, "{mark:>8} │{}", line.trim_end());
    }
    let _infallible = writeln!(text, "{:>8} └{}", 0, "─".repeat(columns.len()));
    let all = columns.iter().map(|it| it.in_service).fold(0.0, f64::max).max(1.0);
    let servers: String = columns
        .iter()
        .map(|it| char::from_digit((it.in_service / all * 9.0).round() as u32, 10).unwrap_or('?'))
        .collect();
    let _infallible = writeln!(text, " servers  {servers}  0 none … 9 all {all:.0}");
    let seconds = score.seconds.len();
    let _infallible = writeln!(text, "    time  0{:>width$} s", seconds, width = columns.len() - 1);
    text
}

/// Averages of some seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) good: f64,
    /// The smaller of what was new and what living servers could serve.
    pub(super) ideal: f64,
    pub(super) offered: f64,
    pub(super) shed: f64,
    pub(super) in_service: f64,
}

pub(super) fn columns(seconds: &[Second], most: usize) -> Vec<Column> {
    let column = |seconds: &[Second]| {
        let mean = |of: &dyn Fn(&Second) -> f64| seconds.iter().map(of).sum::<f64>() / seconds.len() as f64;
        Column {
            good: mean(&|it| it.good as f64),
            ideal: super::score::ideal(seconds) / seconds.len() as f64,
            offered: mean(&|it| it.offered as f64),
            shed: mean(&|it| it.shed as f64),
            in_service: mean(&|it| it.in_service as f64),
        }
    };
    seconds.chunks(seconds.len().div_ceil(most).max(1)).map(column).collect()
}
