//! Requests a second as a picture: a column for each second, stacked by what became of them.

use std::fmt::Write;

/// What to draw.
pub struct Picture {
    pub title: String,
    pub lines: Vec<String>,
    /// From when to when ESC was down.
    pub shaded: Option<(f64, f64)>,
    /// Requests that are allowed in a second.
    pub limit: Option<u32>,
    pub seconds: Vec<[u32; 3]>,
}

/// Of answered, limited, failed: colours that stay apart for those who see few of them.
const COLOURS: [(&str, &str); 3] = [("#0072b2", "answered"), ("#e69f00", "429"), ("#999999", "503")];

const WIDTH: f64 = 900.0;
const PLOT_HEIGHT: f64 = 240.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 16.0;
const LINE: f64 = 18.0;

impl Picture {
    pub fn draw(&self) -> String {
        let top = 40.0 + LINE * (self.lines.len() as f64 + 1.0);
        let bottom = top + PLOT_HEIGHT;
        let height = bottom + 40.0;
        let highest = self.seconds.iter().map(|second| second.iter().sum()).max().unwrap_or(1).max(1);
        let step = step(highest, 5);
        let ceiling = f64::from(highest.div_ceil(step) * step);
        let x = |second: f64| LEFT + (WIDTH - LEFT - RIGHT) * second / self.seconds.len().max(1) as f64;
        let y = |requests: f64| bottom - PLOT_HEIGHT * requests / ceiling;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<title>{}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
            self.title
        );
        let mut text = |x: f64, y: f64, more: &str, text: &str| {
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {more}>{text}</text>");
        };
        text(LEFT, 24.0, "font-size=\"16\" font-weight=\"bold\"", &self.title);
        for (index, line) in self.lines.iter().enumerate() {
            text(LEFT, 44.0 + LINE * index as f64, "fill=\"#333333\"", line);
        }
        text(LEFT, bottom + 34.0, "fill=\"#333333\"", "seconds");
        for tick in (0..=self.seconds.len() as u32).step_by(step_of_time(self.seconds.len())) {
            text(x(f64::from(tick)), bottom + 16.0, "text-anchor=\"middle\"", &tick.to_string());
        }
        for tick in (0..=ceiling as u32).step_by(step as usize) {
            text(LEFT - 6.0, y(f64::from(tick)) + 4.0, "text-anchor=\"end\"", &tick.to_string());
        }
        let mut legend = WIDTH - RIGHT;
        for (kind, (colour, name)) in COLOURS.iter().enumerate().rev() {
            if self.seconds.iter().any(|second| second[kind] > 0) {
                text(
                    legend,
                    top - 8.0,
                    &format!("text-anchor=\"end\" fill=\"{colour}\""),
                    &format!("■ {name}"),
                );
                legend -= 84.0;
            }
        }
        text(LEFT, top - 8.0, "fill=\"#333333\"", "requests a second");
        if let Some((from, to)) = self.shaded {
            let (left, width) = (x(from), x(to) - x(from));
            let _ = writeln!(
                svg,
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{PLOT_HEIGHT}\" fill=\"#f2dede\"/>"
            );
        }
        for tick in (0..=ceiling as u32).step_by(step as usize) {
            let at = y(f64::from(tick));
            let _ = writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#dddddd\"/>", WIDTH - RIGHT);
        }
        for (kind, (colour, _)) in COLOURS.iter().enumerate() {
            let mut columns = String::new();
            for (second, counts) in self.seconds.iter().enumerate().filter(|(_, counts)| counts[kind] > 0) {
                let below: u32 = counts[..kind].iter().sum();
                let (left, right) = (x(second as f64), x(second as f64 + 1.0));
                let (low, high) = (y(f64::from(below)), y(f64::from(below + counts[kind])));
                let _ = write!(columns, "M{left:.1} {low:.1}V{high:.1}H{right:.1}V{low:.1}Z");
            }
            if !columns.is_empty() {
                let _ = writeln!(svg, "<path fill=\"{colour}\" d=\"{columns}\"/>");
            }
        }
        if let Some(limit) = self.limit {
            let at = y(f64::from(limit));
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#d55e00\" stroke-dasharray=\"6 4\"/>",
                WIDTH - RIGHT
            );
        }
        svg + "</svg>\n"
    }
}

/// A round number of which at most so many make up the whole.
fn step(whole: u32, most: u32) -> u32 {
    let rounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
    rounds.into_iter().find(|step| whole.div_ceil(*step) <= most).unwrap_or(whole.max(1))
}

fn step_of_time(seconds: usize) -> usize {
    step(seconds as u32, 16) as usize
}
