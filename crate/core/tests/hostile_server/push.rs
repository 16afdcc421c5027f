//! What a server asks and says of a push.

use sparsync_core::proto::delta::Chunk;
use sparsync_core::proto::pack::FileId;
use sparsync_core::proto::{Basis, FilterRules, Frame, Grant, IssueKind, RelPath, Request, Rule, WireError, limits};
use sparsync_core::{Error, ErrorKind, Side};

use crate::support::over::on_every_transport;
use crate::support::{
    ANSWER_TIMEOUT, CHANGES, Over, Trap, accept, arrived, noise, profile, push_to, put, snapshot, start, unhung,
};
use crate::{failed, outside_untouched, trap};

/// How a push ends whose server says this once it has all of the tree.
async fn failed_by(over: Over, request: Request, frames: &[Frame]) -> Error {
    let trap = trap(over).await;
    let job = start(&trap.client, request, &trap.local());
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
    for frame in frames {
        control.write(frame).await;
    }
    failed(&job).await
}

async fn questions_of_a_push_out_of_place_fail_it(over: Over) {
    let want = |directory, files| Frame::Want { directory, files, resume: vec![] };
    let older = |directory| Frame::Bases { directory, bases: vec![Basis { index: 0, bytes: 1 << 30 }] };
    let file = FileId { directory: 0, index: 0 };
    let parts = |more| Frame::Chunks { file, more, chunks: vec![Chunk::hole(1)] };
    let done = || Frame::Finished { counters: vec![], refused: None };
    for (number, frames) in [
        // No such directory, or not yet asked about.
        vec![Frame::Need(vec![99])],
        vec![Frame::Need(vec![u32::MAX])],
        vec![want(0, vec![0])],
        vec![want(99, vec![0])],
        // Twice, and after it was settled.
        vec![Frame::Need(vec![0]), Frame::Need(vec![0])],
        vec![Frame::Need(vec![0]), want(0, vec![]), want(0, vec![])],
        vec![Frame::Settled(2), Frame::Need(vec![0])],
        // An index out of range, and one of a directory.
        vec![Frame::Need(vec![0]), want(0, vec![2])],
        vec![Frame::Need(vec![0]), want(0, vec![u32::MAX])],
        vec![Frame::Need(vec![0]), want(0, vec![1])],
        // Older states of what is not asked for, and parts of a file that nobody asked about.
        vec![Frame::Need(vec![0]), older(0), want(0, vec![])],
        vec![Frame::Need(vec![0]), older(7), want(0, vec![0])],
        vec![older(0), older(0)],
        vec![parts(true)],
        vec![Frame::Need(vec![0]), older(0), want(0, vec![0]), parts(false)],
        // Frames of the other role.
        vec![Frame::TreeDigest([0; 16])],
        vec![Frame::Directories(vec![])],
        vec![Frame::TreeEnd { directories: 0, entries: 0, bytes: 0, errors: 0 }],
        vec![Frame::Accept(accept(Grant::All, 1))],
        vec![Frame::Hello { oldest: 1, newest: 1 }],
        // Done while a listing is under way.
        vec![Frame::Need(vec![0]), done()],
    ]
    .into_iter()
    .enumerate()
    {
        let error = failed_by(over, push_to("dst"), &frames).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote), "{number}: {frames:?} {error:?}");
    }
}

async fn a_profile_comes_when_it_is_asked_for_and_once(over: Over) {
    let told = || Frame::Profile(Box::new(profile()));
    let finished = || Frame::Finished { counters: vec![], refused: None };
    for (asked, frames) in
        [(false, vec![told(), finished()]), (true, vec![finished()]), (true, vec![told(), told(), finished()])]
    {
        let error = failed_by(over, Request { profile: asked, ..push_to("dst") }, &frames).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote), "{asked} {frames:?} {error:?}");
    }
}

async fn a_push_is_not_done_before_it_began(over: Over) {
    let trap = trap(over).await;
    for n in 0..3000 {
        std::fs::create_dir(trap.local().join(format!("d{n}"))).unwrap();
    }
    let job = start(&trap.client, push_to("dst"), &trap.local());
    let (mut control, _) = trap.session().await;
    control.write(&Frame::Finished { counters: vec![], refused: None }).await;
    let error = failed(&job).await;
    assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote));
}

async fn a_resume_that_nobody_holds_sends_everything(over: Over) {
    let trap = Trap::over(over).await;
    let content = noise(5 << 20, 4);
    put(&trap.local(), "large", &content);
    for (bytes, digest) in [(1 << 20, [0; 32]), (u64::MAX, [0; 32]), (6 << 20, [1; 32])] {
        let job = start(&trap.client, push_to("dst"), &trap.local());
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.until(|frame| matches!(frame, Frame::Directories(_))).await;
        control.write(&Frame::Need(vec![0])).await;
        control.until(|frame| matches!(frame, Frame::List { .. })).await;
        let resume = vec![sparsync_core::proto::Resume { index: 0, bytes, digest }];
        control.write(&Frame::Want { directory: 0, files: vec![0], resume }).await;
        let mut lane = control.lane_in().await;
        let mut got = Vec::new();
        while got.len() < content.len() {
            got.extend_from_slice(&unhung(lane.read()).await.expect("all of the content"));
        }
        // Pack header, Begin, then a literal from the start.
        assert_eq!(got[9..13], [1, 0, 0, 2]);
        assert_eq!(got[16..1016], content[..1000]);
        job.cancel();
        assert_eq!(failed(&job).await.kind(), ErrorKind::Aborted);
    }
}

async fn counters_and_refusals_made_up_do_no_harm(over: Over) {
    let trap = trap(over).await;
    let job = start(&trap.client, push_to("dst"), &trap.local());
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
    let refused = WireError {
        kind: ErrorKind::DeleteRefused,
        message: "x".repeat(limits::MESSAGE_BYTES_MAX),
        path: None,
        details: vec![],
    };
    control.write(&Frame::Finished { counters: vec![u64::MAX; 256], refused: Some(refused) }).await;
    let result = unhung(job.done()).await.unwrap();
    assert_eq!(result.refused.unwrap().kind(), ErrorKind::DeleteRefused);
}

async fn a_list_without_end_or_of_another_kind_is_refused(over: Over) {
    for frame in [
        Frame::Finished { counters: vec![], refused: None },
        Frame::Accept(accept(Grant::All, 1)),
        Frame::TreeDigest([0; 16]),
    ] {
        let trap = Trap::over(over).await;
        let (listed, ()) = tokio::join!(trap.client.list("r", RelPath::root(), ANSWER_TIMEOUT), async {
            let mut control = trap.wire.accept().await;
            control.next().await;
            control.next().await;
            control.write(&frame).await;
        });
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::Protocol);
    }
}

async fn nothing_is_removed_at_the_source_that_was_not_sent(over: Over) {
    let filter = FilterRules::new(&[Rule::new(false, "sub".into())]).unwrap();
    let removing = || Request { remove_source_files: true, ..push_to("dst") };
    for (source, request, told) in [
        ("keep", removing(), "sub/inner"),
        ("keep", removing(), "beside"),
        ("", Request { filter, ..removing() }, "sub/inner"),
        ("", Request { recursive: false, ..removing() }, "sub/inner"),
    ] {
        let trap = trap(over).await;
        put(&trap.local(), "beside", "beside it");
        let before = snapshot(&trap.local());
        let job = start(&trap.client, request, &trap.local().join(source));
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
        control.write(&arrived(told, &trap.local().join(told).metadata().unwrap())).await;
        let error = failed(&job).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote), "{told} of {source:?}");
        assert_eq!(snapshot(&trap.local()), before, "{told} of {source:?}");
    }
}

async fn what_changes_or_flips_before_its_removal_stays_cve_2026_53800(over: Over) {
    for (change, why) in CHANGES {
        let trap = trap(over).await;
        let found = trap.local().join("sub/inner").metadata().unwrap();
        let request = Request { remove_source_files: true, ..push_to("dst") };
        let job = start(&trap.client, request, &trap.local());
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
        change(&trap.local());
        let before = snapshot(&trap.local());
        control.write(&arrived("sub/inner", &found)).await;
        control.until(|frame| matches!(frame, Frame::Removed)).await;
        control.write(&Frame::Finished { counters: vec![], refused: None }).await;
        let result = unhung(job.done()).await.unwrap();
        let told: Vec<_> = result.failures.failures.iter().map(|issue| (issue.kind, &issue.path[..])).collect();
        assert_eq!(told, [(IssueKind::SourceKept, &b"sub/inner"[..])]);
        assert!(result.failures.failures[0].message.contains(why), "{:?}", result.failures.failures[0].message);
        assert_eq!(snapshot(&trap.local()), before, "{why}");
        outside_untouched(&trap);
    }
}

on_every_transport!(
    what_changes_or_flips_before_its_removal_stays_cve_2026_53800,
    questions_of_a_push_out_of_place_fail_it,
    a_profile_comes_when_it_is_asked_for_and_once,
    a_push_is_not_done_before_it_began,
    a_resume_that_nobody_holds_sends_everything,
    counters_and_refusals_made_up_do_no_harm,
    a_list_without_end_or_of_another_kind_is_refused,
    nothing_is_removed_at_the_source_that_was_not_sent
);
