//! MAC translation for floating IPs: data path, rule export and linter.

fn main() {}
