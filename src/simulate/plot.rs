//! A run as a drawing.

use std::fmt::Write;

use super::chart::{Column, columns};
use super::score::Score;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const POINTS: usize = 300;

/// A curve: its name, its colour, and what it shows of each column.
type Curve = (&'static str, &'static str, fn(&Column) -> f64);

const CURVES: [Curve; 4] = [
    ("offered, with those that come again", "#bbbbbb", |it| it.offered),
    ("could be served", "#000000", |it| it.ideal),
    ("served", "#1a7f37", |it| it.good),
    ("turned away", "#cf222e", |it| it.shed),
];

/// An SVG document with a title.
pub fn plot(title: &str, score: &Score) -> String {
    let columns = columns(&score.seconds, POINTS);
    let seconds = score.seconds.len() as f64;
    let most = columns.iter().flat_map(|it| [it.good, it.ideal, it.shed, it.offered]).fold(1.0, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>\n",
        LEFT + WIDTH + 20.0,
        TOP + HEIGHT + 70.0,
        escaped(title)
    );
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let (x, y) = (LEFT + share * WIDTH, TOP + HEIGHT * (1.0 - share));
        let _infallible = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}h{WIDTH}\" stroke=\"#dddddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0}/s</text>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.0} s</text>",
            LEFT - 6.0,
            y + 4.0,
            share * most,
            TOP + HEIGHT + 18.0,
            share * seconds
        );
    }
    for (number, (name, colour, of)) in CURVES.iter().enumerate() {
        let step = WIDTH / columns.len() as f64;
        let point = |(index, column): (usize, &Column)| {
            let (x, y) = (LEFT + (index as f64 + 0.5) * step, TOP + HEIGHT * (1.0 - of(column) / most));
            format!("{x:.1},{y:.1}")
        };
        let points: Vec<_> = columns.iter().enumerate().map(point).collect();
        let (x, y) = (LEFT + 220.0 * number as f64, TOP + HEIGHT + 50.0);
        let _infallible = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\
             <text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{name}</text>",
            points.join(" ")
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
