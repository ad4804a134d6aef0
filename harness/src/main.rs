//! The program `flexdit`.

fn main() {}
