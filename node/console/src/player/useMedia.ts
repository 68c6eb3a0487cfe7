/** The state of a `<video>` as React state, taken from its events. */
import { type RefObject, useEffect, useState } from 'react';

export interface MediaState {
  playing: boolean;
  waiting: boolean;
  ended: boolean;
  time: number;
  duration: number;
  buffered: number;
  volume: number;
  muted: boolean;
  speed: number;
  width: number;
  height: number;
  pictureInPicture: boolean;
}

const events = [
  'play',
  'playing',
  'pause',
  'waiting',
  'seeking',
  'seeked',
  'ended',
  'timeupdate',
  'durationchange',
  'progress',
  'volumechange',
  'ratechange',
  'resize',
  'loadedmetadata',
  'canplay',
  'enterpictureinpicture',
  'leavepictureinpicture',
] as const;

const initial: MediaState = {
  playing: false,
  waiting: false,
  ended: false,
  time: 0,
  duration: 0,
  buffered: 0,
  volume: 1,
  muted: false,
  speed: 1,
  width: 0,
  height: 0,
  pictureInPicture: false,
};

/** A recording that still grows has no end yet; what can be reached is its length for now. */
function lengthOf(video: HTMLVideoElement): number {
  if (Number.isFinite(video.duration)) return video.duration;
  return video.seekable.length > 0 ? video.seekable.end(video.seekable.length - 1) : 0;
}

function bufferedOf(video: HTMLVideoElement): number {
  for (let range = 0; range < video.buffered.length; range++) {
    if (video.buffered.start(range) <= video.currentTime + 0.3 && video.buffered.end(range) >= video.currentTime) {
      return video.buffered.end(range);
    }
  }
  return video.currentTime;
}

function read(video: HTMLVideoElement): MediaState {
  return {
    playing: !video.paused && !video.ended,
    waiting: !video.paused && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA && !video.ended,
    ended: video.ended,
    time: video.currentTime,
    duration: lengthOf(video),
    buffered: bufferedOf(video),
    volume: video.volume,
    muted: video.muted,
    speed: video.playbackRate,
    width: video.videoWidth,
    height: video.videoHeight,
    pictureInPicture: document.pictureInPictureElement === video,
  };
}

export function useMedia(ref: RefObject<HTMLVideoElement | null>): MediaState {
  const [state, setState] = useState(initial);
  useEffect(() => {
    const video = ref.current;
    if (!video) return;
    const update = () => setState(read(video));
    for (const name of events) video.addEventListener(name, update);
    update();
    return () => {
      for (const name of events) video.removeEventListener(name, update);
    };
  }, [ref]);
  return state;
}
