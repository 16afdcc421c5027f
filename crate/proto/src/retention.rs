//! Snapshots of a series: what a request asks for, how they are called, and which of them a rule keeps.

use crate::field::message;

/// A snapshot that a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The destination is a series, of which the run makes the next snapshot.
    pub is_asked: bool,
    /// Unchanged files are linked to those of the newest snapshot that exists.
    pub links_newest: bool,
    /// Unchanged files are not linked, but files of their own that share blocks.
    pub reflinks: bool,
    /// Which are kept then; without a rule all are.
    pub keep: Keep,
}

message!(Snapshot, "snapshot" {
    1 critical is_asked,
    2 critical links_newest,
    3 critical keep,
    4 critical reflinks,
});

/// How many snapshots of a series are kept: this many of the last ones, and the last one of each of this many hours,
/// days and so on that have any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The last ones, whenever they were made.
    pub last: u64,
    /// Of hours.
    pub hourly: u64,
    /// Of days.
    pub daily: u64,
    /// Of weeks, which begin on Monday.
    pub weekly: u64,
    /// Of months.
    pub monthly: u64,
    /// Of years.
    pub yearly: u64,
}

message!(Keep, "rule of retention" {
    1 critical last,
    2 critical hourly,
    3 critical daily,
    4 critical weekly,
    5 critical monthly,
    6 critical yearly,
});

impl Keep {
    /// Whether each of these snapshots, from the newest to the oldest, is kept. Each part of the rule counts by itself.
    /// The oldest snapshot is kept, too, while any part has not reached its number, so that a young series reaches back
    /// as far as it can.
    #[must_use]
    pub fn keeps(&self, newest_first: &[Moment]) -> Vec<bool> {
        let mut parts =
            [self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly].map(|left| (left, None));
        let mut kept = Vec::with_capacity(newest_first.len());
        for (index, moment) in newest_first.iter().enumerate() {
            let is_oldest = index + 1 == newest_first.len();
            let position = i64::try_from(index).unwrap_or(i64::MAX);
            let mut stays = false;
            for ((left, last), span) in parts.iter_mut().zip(moment.spans(position)) {
                if *left > 0 && (is_oldest || *last != Some(span)) {
                    stays = true;
                    *left -= 1;
                    *last = Some(span);
                }
            }
            kept.push(stays);
        }
        kept
    }
}

/// When a snapshot was made, in whole seconds since 1970. Its name is that moment: `2026-11-28T23-50-12Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

const DAY: i64 = 86_400;

/// The last second of the year 9999: names of later moments would have another length.
const LAST: i64 = 253_402_300_799;

impl Moment {
    /// This many seconds after the beginning of 1970; none for a moment that has no name.
    #[must_use]
    pub fn new(seconds: i64) -> Option<Self> {
        (0..=LAST).contains(&seconds).then_some(Self(seconds))
    }

    /// The next second.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// The name of a snapshot of this moment. Names sort as moments do.
    #[must_use]
    pub fn name(self) -> String {
        let (year, month, day) = date_of(self.0.div_euclid(DAY));
        let of_day = self.0.rem_euclid(DAY);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}Z")
    }

    /// The moment that has this name.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Option<Self> {
        let mut numbers = [0; 6];
        let parts = name.strip_suffix(b"Z")?.split(|&byte| byte == b'-' || byte == b'T');
        for (number, part) in numbers.iter_mut().zip(parts) {
            *number = std::str::from_utf8(part).ok()?.parse::<u16>().ok()?.into();
        }
        let [year, month, day, hour, minute, second] = numbers;
        if !(1..=12).contains(&month) {
            return None;
        }
        let moment = Self::new(days_until(year, month, day) * DAY + hour * 3600 + minute * 60 + second)?;
        // Whatever else reads as such numbers is another name.
        (moment.name().as_bytes() == name).then_some(moment)
    }

    /// The place in the list, hour, day, week, month and year of the moment, each as a number that changes from one
    /// span to the next.
    fn spans(self, position: i64) -> [i64; 6] {
        let day = self.0.div_euclid(DAY);
        let (year, month, _) = date_of(day);
        // 1970 began on a Thursday.
        [position, self.0.div_euclid(3600), day, (day + 3).div_euclid(7), year * 12 + month, year]
    }
}

/// Days of 400 years, after which dates come again.
const ERA: i64 = 146_097;

/// Days from the first of March of the year 0, with which a year of this reckoning begins, to 1970.
const EPOCH: i64 = 719_468;

/// Days from 1970 to a date.
fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH
}

/// The date that is so many days after 1970.
fn date_of(day: i64) -> (i64, i64, i64) {
    let day = day + EPOCH;
    let (era, of_era) = (day.div_euclid(ERA), day.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{DAY, Keep, LAST, Moment};

    fn at(name: &str) -> Moment {
        Moment::of_name(name.as_bytes()).unwrap()
    }

    #[test]
    fn a_moment_has_one_name_and_what_is_called_otherwise_is_none() {
        for (seconds, name) in [
            (0, "1970-01-01T00-00-00Z"),
            (951_782_400, "2000-02-29T00-00-00Z"),
            (1_764_373_812, "2025-11-28T23-50-12Z"),
            (LAST, "9999-12-31T23-59-59Z"),
        ] {
            let moment = Moment::new(seconds).unwrap();
            assert_eq!(moment.name(), name);
            assert_eq!(Moment::of_name(name.as_bytes()), Some(moment));
        }
        for day in (0..LAST / DAY).step_by(97) {
            let moment = Moment::new(day * DAY + day % DAY).unwrap();
            assert_eq!(Moment::of_name(moment.name().as_bytes()), Some(moment));
        }
        for other in [
            "",
            "Z",
            "2025-11-28",
            "2025-11-28T23-50-12",
            "2025-02-29T00-00-00Z",
            "2025-11-28T24-00-00Z",
            "2025-11-28T23-60-00Z",
            "2025-00-28T23-50-12Z",
            "2025-13-28T23-50-12Z",
            "2025-11-28T23:50:12Z",
            "2025-11-28T23-50-12Z.old",
            "+025-11-28T23-50-12Z",
            "1969-12-31T23-59-59Z",
            "2025-11-28T23-50-12-1Z",
        ] {
            assert_eq!(Moment::of_name(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn each_part_of_a_rule_keeps_the_last_one_of_its_spans() {
        let all: Vec<Moment> = [
            "2026-01-05T10-30-00Z",
            "2026-01-05T10-00-00Z",
            "2026-01-05T09-00-00Z",
            "2026-01-04T23-00-00Z",
            "2026-01-04T01-00-00Z",
            "2025-12-31T12-00-00Z",
            "2025-12-29T12-00-00Z",
            "2025-12-28T12-00-00Z",
            "2025-11-01T12-00-00Z",
            "2024-06-01T12-00-00Z",
            "2024-05-01T12-00-00Z",
        ]
        .map(at)
        .to_vec();
        let kept = |keep: Keep| -> Vec<usize> {
            keep.keeps(&all).iter().enumerate().filter(|(_, stays)| **stays).map(|(index, _)| index).collect()
        };
        let none = Keep::default();
        assert_eq!(kept(none), [0; 0]);
        assert_eq!(kept(Keep { last: 2, ..none }), [0, 1]);
        assert_eq!(kept(Keep { hourly: 3, ..none }), [0, 2, 3]);
        assert_eq!(kept(Keep { daily: 3, ..none }), [0, 3, 5]);
        // The fourth of January of 2026 was a Sunday.
        assert_eq!(kept(Keep { weekly: 3, ..none }), [0, 3, 7]);
        assert_eq!(kept(Keep { monthly: 3, ..none }), [0, 5, 8]);
        // Three years have any, and the oldest one takes the fourth place.
        assert_eq!(kept(Keep { yearly: 3, ..none }), [0, 5, 9]);
        assert_eq!(kept(Keep { yearly: 4, ..none }), [0, 5, 9, 10]);
        assert_eq!(kept(Keep { last: 1, daily: 2, yearly: 2, ..none }), [0, 3, 5]);
        assert_eq!(kept(Keep { last: 1000, ..none }).len(), all.len());
    }
}
