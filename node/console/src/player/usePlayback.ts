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
  again: () => void;
}

export function usePlayback(ref: RefObject<HTMLVideoElement | null>, asset: string): PlaybackState {
  const [attempt, setAttempt] = useState(0);
  const [state, setState] = useState<Omit<PlaybackState, 'again'>>({ hls: null, fault: undefined, problem: undefined });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt starts anew
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
      const address = await keeper.start();
      if (over) return;
      playback = attach(video, address, keeper, readPosition(asset), fault);
      setState({ hls: playback.hls, fault: undefined, problem: undefined });
    };
    begin().catch((problem: unknown) => {
      if (!over) setState({ hls: null, fault: 'refused', problem });
    });
    const remember = () => writePosition(asset, video.currentTime, video.duration);
    video.addEventListener('timeupdate', remember);
    return () => {
      over = true;
      video.removeEventListener('timeupdate', remember);
      playback?.stop();
    };
  }, [ref, asset, attempt]);
  const again = useCallback(() => {
    setState({ hls: null, fault: undefined, problem: undefined });
    setAttempt((count) => count + 1);
  }, []);
  return { ...state, again };
}
