//! What people wait for in the page.

mod upload;
mod view;

use super::Benchmark;

/// All there is of the page, in the order it is measured in.
pub(crate) const BENCHMARKS: [Benchmark; 2] = [
    Benchmark {
        name: "tus_upload",
        measure: upload::by_tus,
    },
    Benchmark {
        name: "page_view",
        measure: view::view,
    },
];
