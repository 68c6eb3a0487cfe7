/** Everything the buttons and the keys can ask of the player, once. */
import type Hls from 'hls.js';
import type { RefObject } from 'react';
import type { PlayerAction } from './keys';
import type { Tracks } from './useTracks';

export const speeds = [0.5, 0.75, 1, 1.25, 1.5, 2];

export interface Commands {
  run: (action: PlayerAction) => void;
  seek: (second: number) => void;
  setVolume: (volume: number) => void;
  setSpeed: (speed: number) => void;
  setQuality: (level: number) => void;
  setAudio: (track: number) => void;
  setCaption: (track: number) => void;
}

interface Parts {
  video: RefObject<HTMLVideoElement | null>;
  frame: RefObject<HTMLElement | null>;
  hls: Hls | null;
  tracks: Tracks;
  help: () => void;
}

/** Full screen and picture in picture may be refused by the browser; the picture then stays where it is. */
const ignore = () => undefined;

export function useCommands({ video, frame, hls, tracks, help }: Parts): Commands {
  const end = () => {
    const element = video.current;
    if (!element) return 0;
    if (Number.isFinite(element.duration)) return element.duration;
    return element.seekable.length > 0 ? element.seekable.end(element.seekable.length - 1) : 0;
  };
  const seek = (second: number) => {
    if (video.current) video.current.currentTime = Math.max(0, Math.min(end(), second));
  };
  const step = (by: number) => seek((video.current?.currentTime ?? 0) + by);
  const setVolume = (volume: number) => {
    if (!video.current) return;
    video.current.volume = Math.max(0, Math.min(1, volume));
    video.current.muted = video.current.volume === 0;
  };
  const setSpeed = (speed: number) => {
    if (video.current) video.current.playbackRate = speed;
  };
  const stepSpeed = (by: number) => {
    const now = speeds.indexOf(video.current?.playbackRate ?? 1);
    setSpeed(speeds[Math.max(0, Math.min(speeds.length - 1, (now < 0 ? speeds.indexOf(1) : now) + by))] ?? 1);
  };
  const setCaption = (track: number) => {
    if (!hls) return;
    hls.subtitleDisplay = track >= 0;
    hls.subtitleTrack = track;
    tracks.refresh();
  };
  const actions: Record<PlayerAction, () => void> = {
    toggle: () => togglePlay(video.current),
    back: () => step(-10),
    forward: () => step(10),
    stepBack: () => step(-5),
    stepForward: () => step(5),
    louder: () => setVolume((video.current?.volume ?? 1) + 0.1),
    quieter: () => setVolume((video.current?.volume ?? 1) - 0.1),
    mute: () => toggleMute(video.current),
    fullScreen: () => toggleFullScreen(frame.current, video.current),
    captions: () => setCaption(tracks.caption >= 0 ? -1 : tracks.captions.length > 0 ? 0 : -1),
    pictureInPicture: () => togglePictureInPicture(video.current),
    start: () => seek(0),
    end: () => seek(end()),
    slower: () => stepSpeed(-1),
    faster: () => stepSpeed(1),
    help,
  };
  return {
    run: (action) => actions[action](),
    seek,
    setVolume,
    setSpeed,
    setQuality: (level) => {
      if (hls) hls.nextLevel = level;
      tracks.refresh();
    },
    setAudio: (track) => {
      if (hls) hls.audioTrack = track;
      tracks.refresh();
    },
    setCaption,
  };
}

function togglePlay(video: HTMLVideoElement | null): void {
  if (!video) return;
  if (video.paused || video.ended) video.play().catch(ignore);
  else video.pause();
}

function toggleMute(video: HTMLVideoElement | null): void {
  if (!video) return;
  video.muted = !video.muted;
  if (!video.muted && video.volume === 0) video.volume = 0.5;
}

function toggleFullScreen(frame: HTMLElement | null, video: HTMLVideoElement | null): void {
  if (document.fullscreenElement) document.exitFullscreen().catch(ignore);
  else if (frame?.requestFullscreen) frame.requestFullscreen().catch(ignore);
  else (video as (HTMLVideoElement & { webkitEnterFullscreen?: () => void }) | null)?.webkitEnterFullscreen?.();
}

function togglePictureInPicture(video: HTMLVideoElement | null): void {
  if (!video || !document.pictureInPictureEnabled) return;
  if (document.pictureInPictureElement) document.exitPictureInPicture().catch(ignore);
  else video.requestPictureInPicture().catch(ignore);
}
