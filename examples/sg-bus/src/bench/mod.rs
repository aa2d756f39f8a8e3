//! What the bus carries and how long the last agent takes, beside Neutron's ways.

pub mod measure;
pub mod neutron_cost;
pub mod plot;
pub mod report;
