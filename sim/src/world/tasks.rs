//! Task ids: when a host crashes, tokio drops its tasks by lists that it has chosen by their ids,
//! and ids are counted for the whole process. So every run begins at the same place of the count,
//! and what runs at the same time as another needs a process of its own.

use tokio::runtime::Builder;

/// A multiple of the number of lists that any runtime of one thread has.
const LISTS: u64 = 64;

/// The next task of this process has an id at which a run may begin.
pub(crate) fn align_ids() -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().build()?;
    let next = || runtime.block_on(runtime.spawn(async { tokio::task::id().to_string() }));
    while let Ok(id) = next() {
        if id.parse::<u64>().is_ok_and(|id| id.is_multiple_of(LISTS)) {
            break;
        }
    }
    Ok(())
}
