//! The largest of what was seen lately.

/// The largest value of this period and of the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MaxFilter([f64; 2]);

impl MaxFilter {
    pub(super) fn see(&mut self, value: f64) {
        self.0[1] = self.0[1].max(value);
    }

    /// Begins a period, unless nothing was seen in this one.
    pub(super) fn advance(&mut self) {
        if self.0[1] > 0.0 {
            self.0 = [self.0[1], 0.0];
        }
    }

    pub(super) fn get(self) -> f64 {
        self.0[0].max(self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lasts_for_two_periods_and_longer_when_none_follows() {
        let mut filter = MaxFilter::default();
        filter.see(5.0);
        filter.see(3.0);
        filter.advance();
        assert!((filter.get() - 5.0).abs() < f64::EPSILON);
        filter.advance();
        assert!((filter.get() - 5.0).abs() < f64::EPSILON);
        filter.see(2.0);
        filter.advance();
        assert!((filter.get() - 2.0).abs() < f64::EPSILON);
    }
}
