use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use clearfleet_worker::media::serve::SourceBytes;
use clearfleet_worker::media::still::StillFormat;
use clearfleet_worker::steps::{PictureRequest, Progress, picture};
use clearfleet_worker::{Error, Result};

use super::outputs::{Job, parent, unsupported};
use super::{Session, length};
use crate::cli::report::{Finished, Reporter};

impl Session<'_> {
    /// Upscales a still picture. Its result is made in a folder of its own beside the output and moved into place.
    pub(super) fn upscale_still(&self, job: &Job, source: &Arc<dyn SourceBytes>, output: &Path) -> Result<Finished> {
        let extension = output.extension().unwrap_or_default().to_string_lossy();
        let format = StillFormat::from_extension(&extension)
            .ok_or_else(|| unsupported(output, "a picture", "png, jpg, webp, tiff, bmp, gif"))?;
        let request = PictureRequest {
            target: self.target,
            format,
            quality: self.args.quality,
            filters: self.args.filters(),
        };
        let folder = tempfile::Builder::new()
            .prefix(".clearfleet-")
            .tempdir_in(parent(output));
        let folder = folder.map_err(|e| Error::write(output.display(), e))?;
        self.interrupt.working_in(folder.path(), false);
        self.reporter.started(&job.input, output, &length(&**source), None);
        let progress: Arc<dyn Progress> = Arc::clone(&self.reporter) as Arc<Reporter>;
        let cannot = |e| Error::write(output.display(), e);
        let scratch = folder.path().join("result");
        let mut file = std::fs::File::create_new(&scratch).map_err(cannot)?;
        let stop = self.interrupt.stop();
        let made = picture(
            &**source,
            &request,
            &*self.first,
            &self.limits,
            stop,
            &*progress,
            &mut file,
        )?;
        file.sync_all().map_err(cannot)?;
        let bytes = file.seek(SeekFrom::End(0)).map_err(cannot)?;
        super::video::publish(&scratch, output, self.args.overwrite)?;
        Ok(Finished {
            frames: 1,
            bytes,
            notes: made.notes,
        })
    }
}
