//! Controllers on simulated paths: no sockets, no clock, every path from a seed.

mod cubic;
mod flows;
mod path;
mod pays;
mod start;
mod table;
