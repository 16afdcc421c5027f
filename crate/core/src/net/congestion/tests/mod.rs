//! Controllers on simulated paths: no sockets, no clock, every path from a seed.

mod cubic;
mod flows;
mod path;
mod start;
mod table;
