//! Values on the command line that several commands take.

use clearfleet_common::job::Target;

/// An exact size, such as `1920x1080`.
pub(super) fn exact_size(text: &str) -> Result<Target, String> {
    match text.parse() {
        Ok(target @ Target::Exact(..)) => Ok(target),
        Ok(Target::Factor(_)) => Err("a size is WIDTHxHEIGHT; a factor goes with --scale".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

/// Seconds, or `[HH:]MM:SS`, with a fraction.
pub(super) fn moment(text: &str) -> Result<f64, String> {
    let refused = || format!("{text:?} is no time such as 90, 90.5, 1:30 or 0:01:30.5");
    let mut seconds = 0.0;
    let parts: Vec<&str> = text.split(':').collect();
    for (n, part) in parts.iter().enumerate() {
        let value: f64 = part.parse().map_err(|_| refused())?;
        let whole = n + 1 == parts.len() || value.fract() == 0.0;
        if !value.is_finite() || value < 0.0 || (n > 0 && value >= 60.0) || !whole || parts.len() > 3 {
            return Err(refused());
        }
        seconds = seconds * 60.0 + value;
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_or_clock_times() {
        assert_eq!(moment("90.5"), Ok(90.5));
        assert_eq!(moment("1:30"), Ok(90.0));
        assert_eq!(moment("1:00:01.25"), Ok(3601.25));
        for refused in ["", "-1", "1:60", "1.5:00", "0:0:0:1", "inf", "soon"] {
            assert!(moment(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_size_is_no_factor() {
        assert_eq!(exact_size("640x360"), Ok(Target::Exact(640, 360)));
        assert!(exact_size("2").unwrap_err().contains("--scale"));
    }
}
