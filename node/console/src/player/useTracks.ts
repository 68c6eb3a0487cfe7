/** Quality steps, audio tracks and captions that hls.js found, and what is chosen. */
import Hls from 'hls.js';
import { useEffect, useState } from 'react';

export interface Choice {
  value: number;
  /** Height in lines for a quality, else the language code and the name that the playlist gives. */
  height?: number;
  bitrate?: number;
  language?: string;
  name?: string;
}

export interface Tracks {
  /** Reads hls.js again, for choices that it tells of by no event. */
  refresh: () => void;
  qualities: Choice[];
  /** -1 = automatic. */
  quality: number;
  /** The step that plays now. */
  playing: number;
  audio: Choice[];
  audioTrack: number;
  captions: Choice[];
  /** -1 = off. */
  caption: number;
}

const none: Tracks = {
  refresh: () => undefined,
  qualities: [],
  quality: -1,
  playing: -1,
  audio: [],
  audioTrack: -1,
  captions: [],
  caption: -1,
};

function read(hls: Hls, refresh: () => void): Tracks {
  return {
    refresh,
    qualities: hls.levels
      .map((level, value) => ({
        value,
        height: level.height,
        bitrate: level.averageBitrate || level.bitrate,
      }))
      .reverse(),
    quality: hls.manualLevel,
    playing: hls.currentLevel,
    audio: hls.audioTracks.map((track, value) => ({ value, language: track.lang, name: track.name })),
    audioTrack: hls.audioTrack,
    captions: hls.subtitleTracks.map((track, value) => ({ value, language: track.lang, name: track.name })),
    caption: hls.subtitleTrack,
  };
}

export function useTracks(hls: Hls | null): Tracks {
  const [tracks, setTracks] = useState(none);
  useEffect(() => {
    if (!hls) {
      setTracks(none);
      return;
    }
    const update = () => setTracks(read(hls, update));
    const names = [
      Hls.Events.MANIFEST_PARSED,
      Hls.Events.LEVELS_UPDATED,
      Hls.Events.LEVEL_SWITCHED,
      Hls.Events.AUDIO_TRACKS_UPDATED,
      Hls.Events.AUDIO_TRACK_SWITCHED,
      Hls.Events.SUBTITLE_TRACKS_UPDATED,
      Hls.Events.SUBTITLE_TRACK_SWITCH,
    ] as const;
    for (const name of names) hls.on(name, update);
    update();
    return () => {
      for (const name of names) hls.off(name, update);
    };
  }, [hls]);
  return tracks;
}
