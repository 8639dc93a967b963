//! Flow control against providers that limit requests, in paused time: how much of the limit is used, and how many requests are refused.
//!
//! Four keys with 5 requests per second each. Unless noted otherwise, 64 callers send their next call when the previous one has ended, each with
//! a deadline of 300 s. Answers take random times, requests arrive up to 20 ms late, refusals return after 5 to 30 ms. Each scenario runs with
//! several seeds. A row prints the mean of the runs and, in parentheses, the worst run. Shares are compared with the bars by their means, all other
//! values by their worst runs.
//!
//! - `matrix` has a row for each window, disclosure and configuration. `served` is the share of the limit that is used, `refused` the share of the
//!   requests with status 429, both in whole windows after the start: from 30 s to 200 s, or four windows of 60 s from 120 s on. `failed` counts the
//!   failed calls of the whole run, `Jain` is the fairness index of the callers. No row tells the library of a `caller`.
//! - `counted`: the same, where refused requests count against the provider's limit, too.
//! - `brown-out`: at 90 s, a provider like `bucket` and `nothing` refuses all requests for 5, 30 or 300 s. `back after` is the time from its end until
//!   the provider serves 95 % of the rate before the brown-out, both over 10 s and over 30 s. `peak` is the largest number of requests in any later
//!   second, relative to the limit. `failed after` counts the calls that fail later than 30 s after the brown-out.
//! - `stray`: a share of the requests is refused although within the limit. `cost` is the loss compared with a run without such refusals.
//! - `sockets` (with `--sockets` only): cells of `matrix` over loopback sockets and in real time, with one seed. Takes 200 s.
//!
//! | word | window of the provider's limit |
//! |---|---|
//! | `bucket` | token bucket of 5, 5 more per second |
//! | `bucket-60` | token bucket of 300, 5 more per second (with `--extra` only); serves more than its rate until it is empty |
//! | `fixed-5`, `fixed-60` | counter that is reset every 5 s or 60 s |
//! | `sliding-5`, `sliding-60` | at most 25 in any 5 s, or 300 in any 60 s |
//!
//! | word | disclosed by the provider |
//! |---|---|
//! | `next` | headers with limit, remaining requests, and the time until more remain |
//! | `whole` | the same with the time until the whole limit remains |
//! | `per-minute` | like `whole`, with the limit of a minute instead of that of the window |
//! | `seconds` | `Retry-After` with refusals, rounded up to seconds |
//! | `ms` | `Retry-After-Ms` with refusals (with `--extra` only) |
//! | `nothing` | nothing |
//! | `bare` | nothing, and the body of a refusal is plain text |
//!
//! The headers describe the limit at the arrival of the request. They come with every response; refusals with these headers carry no `Retry-After`.
//!
//! | word | configured |
//! |---|---|
//! | `none` | nothing |
//! | `true-bucket`, `double-bucket` | the target's `rate_limit` at the true rate of all keys, or twice that |
//! | `rpm` | `rpm` of each key at its true rate |
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints to the terminal, and a failed unwrap is a failed bench"
)]

mod cell;
mod faults;
mod load;
mod metric;
#[path = "../../tests/support/rate_limited_provider.rs"]
mod rate_limited_provider;
mod setting;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use cell::Cell;
use faults::{BrownOut, StrayRefusals};
use metric::{Metric, Sample};
use rate_limited_provider::AnswerTime;

const USAGE: &str =
    "flow_matrix [--check] [--cells WORD...] [--seeds N] [--threads N] [--sockets] [--extra] [--timing]

  --check         exit with 1 if a bar is missed
  --cells WORD... run only rows with all of these words, such as: matrix sliding-5 none
  --seeds N       number of runs of each row (default: 3)
  --threads N     number of threads (default: 2)
  --sockets       also run six cells over loopback sockets, in real time
  --extra         also run cells with exact times in refusals and with a large bucket
  --timing        print the seconds that each row took";

fn main() {
    let options = Options::parse(std::env::args().skip(1));
    record_clock_origin();
    let started = Instant::now();
    let mut rows: Vec<Row> = Scenario::all(&options).into_iter().map(Row::new).collect();
    rows.retain(|row| {
        options
            .words
            .iter()
            .all(|word| row.words.contains(&word.as_str()))
    });
    if rows.is_empty() {
        eprintln!("no row has all of these words: {}", options.words.join(" "));
        std::process::exit(2);
    }

    let (in_real_time, in_paused_time): (Vec<&Row>, Vec<&Row>) = rows
        .iter()
        .partition(|row| matches!(row.scenario, Scenario::Socket(_)));
    run(&in_paused_time, options.threads, options.seeds);
    // In real time, runs mostly wait.
    run(&in_real_time, in_real_time.len(), 1);

    let failed_rows = print_tables(&rows, &options);
    println!(
        "{} of {} rows reach their bars; {:.0} s",
        rows.len() - failed_rows,
        rows.len(),
        started.elapsed().as_secs_f64()
    );
    if options.check && failed_rows > 0 {
        std::process::exit(1);
    }
}

struct Options {
    check: bool,
    words: Vec<String>,
    seeds: u64,
    threads: usize,
    sockets: bool,
    extra: bool,
    timing: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self {
            check: false,
            words: Vec::new(),
            seeds: 3,
            threads: 2,
            sockets: false,
            extra: false,
            timing: false,
        };
        let mut reads_words = false;
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().and_then(|text| text.parse().ok());
            let is_word = !argument.starts_with("--");
            match argument.as_str() {
                // Passed by `cargo bench`.
                "--bench" => {}
                "--check" => options.check = true,
                "--sockets" => options.sockets = true,
                "--extra" => options.extra = true,
                "--timing" => options.timing = true,
                "--cells" => {}
                "--seeds" => options.seeds = number().unwrap_or_else(|| usage()),
                "--threads" => options.threads = number().unwrap_or_else(|| usage()) as usize,
                _ if is_word && reads_words => options.words.push(argument.clone()),
                _ => usage(),
            }
            reads_words = argument == "--cells" || is_word && reads_words;
        }
        if options.seeds == 0 || options.threads == 0 {
            usage();
        }
        options
    }
}

fn usage() -> ! {
    eprintln!("{USAGE}");
    std::process::exit(2);
}

/// The first time that the library read from the clock. The library's times count from it, for the whole process.
static CLOCK_ORIGIN: OnceLock<tokio::time::Instant> = OnceLock::new();

/// Makes a call, so that the library's times count from an instant before the start of all other runtimes.
fn record_clock_origin() {
    paused_runtime().block_on(async {
        CLOCK_ORIGIN.set(tokio::time::Instant::now()).unwrap();
        let settings = setting::Provider::SILENT_BUCKET.settings(0);
        let provider = rate_limited_provider::RateLimitedProvider::new(settings);
        let target = setting::Configured::Nothing.target(&provider, None);
        load::closed_loop(&target, &provider, Duration::from_millis(1), load::DEADLINE).await;
    });
}

/// Runs a scenario in paused time.
///
/// The paused clock of a runtime starts at the real time of its creation. Some counters of the library begin at multiples of their windows since the
/// clock's origin, so the result would depend on the speed of the machine. Therefore, the clock is advanced to a time that depends only on the seed.
fn in_paused_time(seed: u64, scenario: impl Future<Output = Sample>) -> Sample {
    paused_runtime().block_on(async {
        let age = rate_limited_provider::Random(!seed).duration(AnswerTime::Uniform(86_400.0, 86_460.0));
        let start = *CLOCK_ORIGIN.get().unwrap() + age;
        // Timers fire at whole milliseconds since the creation of the runtime.
        let ms = (start - tokio::time::Instant::now()).as_millis() as u64;
        tokio::time::advance(Duration::from_millis(ms)).await;
        scenario.await
    })
}

fn paused_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

#[derive(Clone, Copy)]
enum Scenario {
    Matrix(Cell),
    Counted(Cell),
    BrownOut(BrownOut),
    Stray(StrayRefusals),
    Socket(Cell),
}

impl Scenario {
    fn all(options: &Options) -> Vec<Self> {
        let mut all = Vec::new();
        all.extend(Cell::all(false, options.extra).into_iter().map(Self::Matrix));
        all.extend(Cell::all(true, options.extra).into_iter().map(Self::Counted));
        all.extend(BrownOut::all().into_iter().map(Self::BrownOut));
        all.extend(StrayRefusals::all().into_iter().map(Self::Stray));
        if options.sockets {
            all.extend(Cell::over_sockets().into_iter().map(Self::Socket));
        }
        all
    }

    fn table(&self) -> &'static str {
        match self {
            Self::Matrix(_) => "matrix",
            Self::Counted(_) => "counted",
            Self::BrownOut(_) => "brown-out",
            Self::Stray(_) => "stray",
            Self::Socket(_) => "sockets",
        }
    }

    fn names(&self) -> Vec<&'static str> {
        match self {
            Self::Matrix(cell) | Self::Counted(cell) | Self::Socket(cell) => cell.names(),
            Self::BrownOut(brown_out) => brown_out.names(),
            Self::Stray(stray) => stray.names(),
        }
    }

    fn metrics(&self) -> Vec<Metric> {
        match self {
            Self::Matrix(cell) | Self::Counted(cell) | Self::Socket(cell) => cell.metrics(),
            Self::BrownOut(_) => BrownOut::metrics(),
            Self::Stray(stray) => stray.metrics(),
        }
    }

    fn run(&self, seed: u64) -> Sample {
        match self {
            Self::Matrix(cell) | Self::Counted(cell) => in_paused_time(seed, cell.run(seed)),
            Self::BrownOut(brown_out) => in_paused_time(seed, brown_out.run(seed)),
            Self::Stray(stray) => in_paused_time(seed, stray.run(seed)),
            Self::Socket(cell) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(cell.run_over_socket(seed))
            }
        }
    }
}

struct Row {
    scenario: Scenario,
    /// The words by which the row is selected: its table and its names.
    words: Vec<&'static str>,
    runs: Mutex<Vec<(Sample, Duration)>>,
}

impl Row {
    fn new(scenario: Scenario) -> Self {
        Self {
            words: [vec![scenario.table()], scenario.names()].concat(),
            scenario,
            runs: Mutex::default(),
        }
    }
}

/// Runs each row with the seeds from 1 to `seeds`, on several threads.
fn run(rows: &[&Row], threads: usize, seeds: u64) {
    let jobs: Vec<(&Row, u64)> = rows
        .iter()
        .flat_map(|row| (1..=seeds).map(move |seed| (*row, seed)))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((row, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            let sample = row.scenario.run(*seed);
            row.runs.lock().unwrap().push((sample, started.elapsed()));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
}

/// Prints all rows. Returns the number of rows that miss a bar.
fn print_tables(rows: &[Row], options: &Options) -> usize {
    let mut failed_rows = 0;
    for table in rows.chunk_by(|a, b| a.words[0] == b.words[0]) {
        let metrics = table[0].scenario.metrics();
        let mut lines = vec![vec![String::new(); table[0].words.len() - 1]];
        lines[0].extend(metrics.iter().map(Metric::heading));
        if options.timing {
            lines[0].push("took s".to_owned());
        }
        lines[0].push("result".to_owned());
        let (mut failed_here, mut failures) = (0, Vec::new());
        for row in table {
            let runs = row.runs.lock().unwrap();
            let mut missed = Vec::new();
            let mut line: Vec<String> = row.words[1..].iter().map(|word| (*word).to_owned()).collect();
            for (index, metric) in row.scenario.metrics().iter().enumerate() {
                let result = metric.result(runs.iter().map(|(sample, _)| sample.values[index]));
                line.push(metric.text(result));
                missed.extend(metric.missed(result));
            }
            if options.timing {
                let took: f64 = runs.iter().map(|(_, took)| took.as_secs_f64()).sum();
                line.push(format!("{took:.2}"));
            }
            failed_here += usize::from(!missed.is_empty());
            line.push(match missed.as_slice() {
                [] => "PASS".to_owned(),
                missed => format!("missed: {}", missed.join(", ")),
            });
            lines.push(line);
            let failure = runs.iter().find_map(|(sample, _)| sample.failure.clone());
            failures.extend(failure.map(|failure| (row.words[1..].join(" "), failure)));
        }
        println!("{}", table[0].words[0]);
        print_aligned(&lines);
        println!(
            "{} of {} rows reach their bars",
            table.len() - failed_here,
            table.len()
        );
        for (name, failure) in failures {
            let text: String = failure.text.chars().take(120).collect();
            println!(
                "first failed call of {name}, at {:.1} s: {text}",
                failure.at.as_secs_f64()
            );
        }
        println!();
        failed_rows += failed_here;
    }
    failed_rows
}

fn print_aligned(lines: &[Vec<String>]) {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..lines[0].len()).filter_map(width).collect();
    for line in lines {
        let cells = line.iter().zip(&widths);
        let text: String = cells.map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        println!("{}", text.trim_end());
    }
}
