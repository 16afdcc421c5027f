//! Profiles of sessions for JavaScript.

use std::collections::BTreeMap;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use sparsync_core::ServerProfiles;
use sparsync_core::proto::{Direction, EndProfile, FIGURES, Figure, PHASES, ThreadProfile};

use crate::number::{millis, number};

/// What a thread spent in one phase.
#[napi(object, object_from_js = false)]
pub struct NativeProfilePhase {
    /// The phase.
    pub name: String,
    /// How long, in milliseconds.
    pub ms: f64,
    /// How often it began.
    pub count: f64,
    /// Its share of each step of the thread's time, in percent.
    pub steps: Uint8Array,
}

/// One thread.
#[napi(object, object_from_js = false)]
pub struct NativeProfileThread {
    /// Its name.
    pub name: String,
    /// When it began, in milliseconds after the start of the session.
    pub start_ms: f64,
    /// How long it lived.
    pub wall_ms: f64,
    /// Processor time that it used.
    pub cpu_ms: f64,
    /// Width of a step in milliseconds.
    pub step_ms: f64,
    /// The phases that it was in.
    pub phases: Vec<NativeProfilePhase>,
}

/// One end of a session.
#[napi(object, object_from_js = false)]
pub struct NativeProfileEnd {
    /// When it began, in milliseconds since 1970 by its own clock.
    pub started_at_ms: f64,
    /// Figures by name.
    pub figures: BTreeMap<String, f64>,
    /// Its threads.
    pub threads: Vec<NativeProfileThread>,
}

/// The profile of a session that a server has served.
#[napi(object, object_from_js = false)]
pub struct NativeSessionProfile {
    /// `push` or `pull`, as the client sees it.
    pub direction: String,
    /// The server's end.
    pub end: NativeProfileEnd,
}

/// What a server that profiles its sessions has to tell.
#[napi(object, object_from_js = false)]
pub struct NativeServerProfiles {
    /// Sessions that have ended since this was last asked for.
    pub ended: Vec<NativeSessionProfile>,
    /// How many more there were.
    pub dropped: f64,
    /// The figures of all sessions since the server began.
    pub figures: BTreeMap<String, f64>,
}

fn figures(values: &[u64]) -> BTreeMap<String, f64> {
    FIGURES
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let value = values.get(place).copied().unwrap_or(0);
            ((*name).to_owned(), if Figure::is_time(name) { millis(value) } else { number(value) })
        })
        .collect()
}

fn thread(profile: &ThreadProfile) -> NativeProfileThread {
    NativeProfileThread {
        name: profile.name.clone(),
        start_ms: millis(profile.start_nanos),
        wall_ms: millis(profile.wall_nanos),
        cpu_ms: millis(profile.cpu_nanos),
        step_ms: millis(profile.step_nanos),
        phases: profile
            .phases
            .iter()
            .filter_map(|total| {
                Some(NativeProfilePhase {
                    name: (*PHASES.get(usize::from(total.phase))?).to_owned(),
                    ms: millis(total.nanos),
                    count: number(total.count),
                    steps: Uint8Array::from(total.steps.as_slice()),
                })
            })
            .collect(),
    }
}

/// One end as JavaScript takes it.
pub(crate) fn end(profile: &EndProfile) -> NativeProfileEnd {
    NativeProfileEnd {
        started_at_ms: number(profile.started_at_micros) / 1e3,
        figures: figures(&profile.figures),
        threads: profile.threads.iter().map(thread).collect(),
    }
}

/// A server's account as JavaScript takes it.
pub(crate) fn server_profiles(profiles: &ServerProfiles) -> NativeServerProfiles {
    NativeServerProfiles {
        ended: profiles
            .ended
            .iter()
            .map(|session| NativeSessionProfile {
                direction: if session.direction == Direction::Push { "push" } else { "pull" }.to_owned(),
                end: end(&session.profile),
            })
            .collect(),
        dropped: number(profiles.dropped),
        figures: figures(&profiles.figures),
    }
}

/// The names of figures.
#[napi(catch_unwind)]
#[must_use]
pub fn profile_figure_names() -> Vec<String> {
    FIGURES.iter().map(|&name| name.to_owned()).collect()
}

/// The names of phases.
#[napi(catch_unwind)]
#[must_use]
pub fn profile_phase_names() -> Vec<String> {
    PHASES.iter().map(|&name| name.to_owned()).collect()
}
