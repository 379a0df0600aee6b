use rayon::prelude::*;

use crate::plane::Plane;

/// How far a pixel may go beyond its neighbours, as a part of what they span: more shows as a halo.
const OVERSHOOT: f32 = 0.125;

/// What is to be added to each sample so that detail stands out: the plane less its blur by a binomial of five taps, times
/// `amount`, as far as the result stays near what surrounds it.
pub(super) fn detail(plane: &Plane<f32>, amount: f32) -> Plane<f32> {
    let size = plane.size();
    let (columns, rows) = (size.columns(), size.rows());
    let mut added = Plane::new(size, 0.0);
    let lines = added.data_mut().par_chunks_exact_mut(columns).enumerate();
    lines.for_each_init(
        || Lines::new(columns),
        |lines, (y, out)| {
            let row = |dy: isize| plane.row(y.saturating_add_signed(dy).min(rows - 1));
            lines.load([row(-2), row(-1), row(0), row(1), row(2)]);
            let own = row(0);
            for (x, out) in out.iter_mut().enumerate() {
                let [least, most] = lines.around(x);
                let slack = OVERSHOOT * (most - least);
                let raised = own[x] + amount * (own[x] - lines.blur(x));
                *out = raised.clamp(least - slack, most + slack) - own[x];
            }
        },
    );
    added
}

/// Adds what [`detail`] found.
pub(super) fn add(plane: &mut Plane<f32>, detail: &Plane<f32>) {
    let samples = plane.data_mut().iter_mut().zip(detail.data());
    samples.for_each(|(sample, detail)| *sample += detail);
}

/// Luma of BT.601 of red, green and blue, in codes.
pub(super) fn luma_of([red, green, blue]: [&Plane<f32>; 3]) -> Plane<f32> {
    let mut luma = red.clone();
    let others = green.data().iter().zip(blue.data());
    for (luma, (green, blue)) in luma.data_mut().iter_mut().zip(others) {
        *luma = 0.299 * *luma + 0.587 * green + 0.114 * blue;
    }
    luma
}

/// Five rows, summed and compared down each column, with two columns more on either side that repeat the edge.
struct Lines {
    sum: Vec<f32>,
    least: Vec<f32>,
    most: Vec<f32>,
}

impl Lines {
    fn new(columns: usize) -> Self {
        let line = vec![0.0; columns + 4];
        Self {
            sum: line.clone(),
            least: line.clone(),
            most: line,
        }
    }

    fn load(&mut self, [a, b, c, d, e]: [&[f32]; 5]) {
        let width = c.len();
        for x in 0..width {
            self.sum[x + 2] = (a[x] + e[x]) + 4.0 * (b[x] + d[x]) + 6.0 * c[x];
            self.least[x + 2] = b[x].min(c[x]).min(d[x]);
            self.most[x + 2] = b[x].max(c[x]).max(d[x]);
        }
        for line in [&mut self.sum, &mut self.least, &mut self.most] {
            let (first, last) = (line[2], line[width + 1]);
            line[..2].fill(first);
            line[width + 2..].fill(last);
        }
    }

    fn blur(&self, x: usize) -> f32 {
        let s = &self.sum[x..x + 5];
        ((s[0] + s[4]) + 4.0 * (s[1] + s[3]) + 6.0 * s[2]) / 256.0
    }

    /// The least and the most of the 3×3 pixels around one.
    fn around(&self, x: usize) -> [f32; 2] {
        let (least, most) = (&self.least[x + 1..x + 4], &self.most[x + 1..x + 4]);
        [least[0].min(least[1]).min(least[2]), most[0].max(most[1]).max(most[2])]
    }
}
