//! What every store must do, run on the embedded one and, where there is a `minio`, on MinIO; and what the embedded one
//! does besides.

#![allow(clippy::unwrap_used, reason = "all of it is test code, helpers too")]

mod backend;
mod embedded;
mod faults;
mod figures;
mod kill;
mod lists;
mod races;
mod reads;
mod uploads;
mod writes;

/// Makes a test of each part of the suite, for each store. Faults are tested from a connection of their own.
macro_rules! suite {
    ($($part:ident::$name:ident($what:ident)),* $(,)?) => {
        mod on_embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let store = crate::backend::Embedded::start().await;
                crate::$part::$name(&store.$what).await;
            })*
        }

        mod on_minio {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                if let Some(store) = crate::backend::Minio::start().await {
                    crate::$part::$name(&store.$what).await;
                }
            })*
        }
    };
}

suite! {
    writes::streams_arrive_whole(storage),
    writes::small_objects_are_replaced_and_deleted(storage),
    writes::abandoned_writes_leave_nothing(storage),
    writes::large_objects_are_not_read_into_memory(storage),
    writes::records_are_changed_in_turn(storage),
    reads::ranges_are_those_of_a_slice(storage),
    reads::a_pinned_version_is_read_or_refused(storage),
    reads::what_is_missing_is_said_so(storage),
    reads::calls_are_counted_by_what_became_of_them(storage),
    lists::long_lists_are_whole_and_in_order(storage),
    lists::lists_are_those_of_a_map(storage),
    uploads::go_on_wherever_they_broke_off(storage),
    uploads::two_requests_at_once_lose_nothing(storage),
    uploads::are_put_in_place_once(storage),
    uploads::that_were_deleted_take_nothing(storage),
    uploads::are_no_stale_writes(storage),
    races::one_of_eight_creates(storage),
    races::one_of_eight_completes(storage),
    races::one_of_eight_replaces(storage),
    races::a_counter_ends_exact(storage),
    races::a_store_that_honours_conditions_is_taken(storage),
    faults::wrong_credentials_are_denied(config),
    faults::a_lost_answer_to_a_conditional_write_is_found_out(config),
    faults::reading_goes_on_after_breaks(config),
}
