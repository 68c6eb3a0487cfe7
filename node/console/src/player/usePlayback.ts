/** Starts and stops the playback of one asset in one `<video>`. */
import type Hls from 'hls.js';
import { type RefObject, useCallback, useEffect, useState } from 'react';
import { attach, type Playback, type PlayerFault } from './hls';
import { readPosition, writePosition } from './resume';
import { ViewKeeper } from './view';

export interface PlaybackState {
  hls: Hls | null;
  fault: PlayerFault | undefined;
  /** The node's own answer when it refused to start a View. */
  problem: unknown;
  /** Once more; in place of another View of one's own, if it is named. */
  again: (inPlaceOf?: string) => void;
}

export function usePlayback(ref: RefObject<HTMLVideoElement | null>, asset: string): PlaybackState {
  const [attempt, setAttempt] = useState<{ count: number; inPlaceOf?: string }>({ count: 0 });
  const [state, setState] = useState<Omit<PlaybackState, 'again'>>({ hls: null, fault: undefined, problem: undefined });
  useEffect(() => {
    const video = ref.current;
    if (!video) return;
    let playback: Playback | undefined;
    let over = false;
    const keeper = new ViewKeeper(asset);
    const fault = (what: PlayerFault) => {
      video.pause();
      setState((before) => ({ ...before, fault: what, problem: keeper.refusal }));
    };
    const begin = async () => {
      const address = await keeper.start(attempt.inPlaceOf);
      if (over) return keeper.end();
      playback = attach(video, address, keeper, readPosition(asset), fault);
      setState({ hls: playback.hls, fault: undefined, problem: undefined });
    };
    begin().catch((problem: unknown) => {
      if (!over) setState({ hls: null, fault: 'refused', problem });
    });
    const remember = () => writePosition(asset, video.currentTime, video.duration);
    video.addEventListener('timeupdate', remember);
    const leave = () => keeper.end();
    window.addEventListener('pagehide', leave);
    return () => {
      over = true;
      window.removeEventListener('pagehide', leave);
      keeper.end();
      video.removeEventListener('timeupdate', remember);
      playback?.stop();
    };
  }, [ref, asset, attempt]);
  const again = useCallback((inPlaceOf?: string) => {
    setState({ hls: null, fault: undefined, problem: undefined });
    setAttempt(({ count }) => ({ count: count + 1, inPlaceOf }));
  }, []);
  return { ...state, again };
}
