//! Micro-benchmarks of `sparsync-core` through what it makes public: whole runs between two folders, which have no
//! network. `crate/core`'s walk, reader and writers are private, so they are seen together: a run without changes is two walks and
//! the comparison, a first run is a walk, the reader, and the writers with rename.

use std::fs;
use std::path::Path;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use sparsync_core::proto::{Attributes, Compression, Deletion, Durability, Request};
use sparsync_core::{Run, start_local};
use std::os::unix::ffi::OsStrExt;

const DIRECTORIES: u32 = 10;
const FILES: u32 = 100;

fn run(source: &Path, destination: &Path, durability: Durability) {
    let attributes = Attributes { perms: true, times: true, links: true, ..Attributes::default() };
    let request = Request {
        attributes,
        recursive: true,
        deletion: Deletion { delete: true, ..Deletion::default() },
        partial: true,
        durability,
        compression: Compression::Never,
        lanes: 2,
        ..Request::default()
    };
    let run = Run {
        request,
        local_path: source.as_os_str().as_bytes().to_vec(),
        source_is_directory: false,
        local_sources: Vec::new(),
        events: sparsync_core::EventNeeds::default(),
        batch: sparsync_core::Batch::None,
    };
    let job = start_local(run, destination.as_os_str().as_bytes().to_vec()).expect("a run that starts");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let result = runtime.block_on(job.done()).expect("a run that succeeds");
    assert!(result.refused.is_none());
}

fn make(source: &Path, bytes: usize) {
    let content = vec![7; bytes];
    for directory in 0..DIRECTORIES {
        let folder = source.join(format!("directory-{directory}"));
        fs::create_dir_all(&folder).expect("a folder");
        for file in 0..FILES {
            fs::write(folder.join(format!("file-{file}")), &content).expect("a file");
        }
    }
}

/// In memory where that can be had: a disk would be what is measured.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("sparsync-micro-").tempdir_in(base).expect("a folder")
}

fn runs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("local runs");
    group.sampling_mode(SamplingMode::Flat).sample_size(20).throughput(Throughput::Elements(1000));
    for (name, bytes) in [("empty", 0), ("4 KiB", 4096), ("64 KiB", 64 << 10)] {
        let top = folder();
        let source = top.path().join("source");
        make(&source, bytes);
        let synced = top.path().join("synced");
        fs::create_dir(&synced).expect("a folder");
        run(&source, &synced, Durability::None);
        group.bench_function(format!("walk and compare, 1000 files of {name}"), |bencher| {
            bencher.iter(|| run(&source, &synced, Durability::None));
        });
        group.bench_function(format!("read and write, 1000 files of {name}"), |bencher| {
            bencher.iter_batched(
                || tempfile::Builder::new().tempdir_in(top.path()).expect("a folder"),
                |destination| {
                    run(&source, destination.path(), Durability::None);
                    destination
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, runs);
criterion_main!(benches);
