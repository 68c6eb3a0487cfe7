// A short real clip, made by ffmpeg: moving picture in 720p, a tone, and a subtitle track.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const subtitles = '1\n00:00:00,000 --> 00:00:10,000\nGood morning, harbour\n';

/** Writes `harbour_lecture.mkv` of `seconds` with a picture of `size` into a new folder. */
export async function makeClip(seconds, size = '1280x720') {
  const folder = await mkdtemp(join(tmpdir(), 'mediakeep-clip-'));
  const text = join(folder, 'text.srt');
  const path = join(folder, 'harbour_lecture.mkv');
  await writeFile(text, subtitles);
  const picture = ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=25:duration=${seconds}`];
  const tone = ['-f', 'lavfi', '-i', `sine=frequency=440:duration=${seconds}`];
  const codecs = [
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-pix_fmt',
    'yuv420p',
    '-g',
    '50',
    '-c:a',
    'aac',
    '-c:s',
    'srt',
  ];
  const maps = ['-map', '0:v', '-map', '1:a', '-map', '2:s', '-metadata:s:s:0', 'language=eng'];
  await promisify(execFile)('ffmpeg', ['-v', 'error', '-y', ...picture, ...tone, '-i', text, ...maps, ...codecs, path]);
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}
