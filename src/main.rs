//! `dockless`: parse, run one command, leave with its exit code.

#[expect(unreachable_pub, reason = "a binary exports nothing: pub is what the other rooms of the terminal may use")]
#[expect(dead_code, reason = "the commands that use the rest come with the rooms that they call")]
mod cli;

use clap::Parser as _;

fn main() {
    let _ = cli::args::Arguments::parse();
}
