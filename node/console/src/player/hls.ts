/** hls.js tied to a `<video>` and a `ViewKeeper`: renewal by load policies, recovery from media errors, errors in words. */
import Hls, { type ErrorData, type HlsConfig, type LoadPolicy } from 'hls.js';
import workerAddress from 'hls.js/dist/hls.worker.js?url';
import type { ViewKeeper } from './view';

export type PlayerFault = 'refused' | 'network' | 'media' | 'unsupported';

const renewalsPerRequest = 3;
const mediaRecoveries = 2;
/** Tries at a node that does not answer, when another site has the video too. */
const triesBeforeMoving = 1;

/** Which statuses mean "this View is over": worth one renewal, then final. */
const isRefusal = (code: number | undefined) => code === 401 || code === 403;

function withRenewal(policy: LoadPolicy, keeper: ViewKeeper, canMove: () => boolean): LoadPolicy {
  const usual = policy.default.errorRetry;
  return {
    default: {
      ...policy.default,
      errorRetry: {
        maxNumRetry: 6,
        retryDelayMs: 500,
        maxRetryDelayMs: 8_000,
        ...usual,
        shouldRetry: (_config, count, _isTimeout, answer, retry) => {
          const isSilent = !answer?.code;
          if (isSilent && canMove()) return retry && count < triesBeforeMoving;
          if (!isRefusal(answer?.code)) return retry;
          keeper.markStale();
          return count < renewalsPerRequest && keeper.refusal === undefined;
        },
      },
    },
  };
}

function configFor(keeper: ViewKeeper, startPosition: number, canMove: () => boolean): Partial<HlsConfig> {
  const defaults = Hls.DefaultConfig;
  return {
    workerPath: workerAddress,
    startPosition,
    // A recording that is still being made is watched from its start, not from its newest second.
    liveDurationInfinity: false,
    capLevelToPlayerSize: false,
    backBufferLength: 60,
    maxBufferLength: 30,
    manifestLoadPolicy: withRenewal(defaults.manifestLoadPolicy, keeper, canMove),
    playlistLoadPolicy: withRenewal(defaults.playlistLoadPolicy, keeper, canMove),
    fragLoadPolicy: withRenewal(defaults.fragLoadPolicy, keeper, canMove),
    keyLoadPolicy: withRenewal(defaults.keyLoadPolicy, keeper, canMove),
    xhrSetup: () => keeper.fresh(),
  };
}

export interface Playback {
  hls: Hls | null;
  stop: () => void;
}

/** Begins to load `address` into `video`; `fault` is told once when it cannot go on. */
export function attach(
  video: HTMLVideoElement,
  address: string,
  keeper: ViewKeeper,
  startPosition: number,
  fault: (fault: PlayerFault) => void,
): Playback {
  if (!Hls.isSupported()) return attachNative(video, address, startPosition, fault);
  const canMove = () => hls.pathways.length > 1;
  const hls: Hls = new Hls(configFor(keeper, startPosition, canMove));
  let recoveries = 0;
  hls.on(Hls.Events.ERROR, (_name, data: ErrorData) => {
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries < mediaRecoveries) {
      recoveries += 1;
      hls.recoverMediaError();
      return;
    }
    hls.stopLoad();
    fault(faultOf(data, keeper));
  });
  hls.loadSource(address);
  hls.attachMedia(video);
  return { hls, stop: () => hls.destroy() };
}

function faultOf(data: ErrorData, keeper: ViewKeeper): PlayerFault {
  if (keeper.refusal !== undefined || isRefusal(data.response?.code) || data.response?.code === 404) return 'refused';
  return data.type === Hls.ErrorTypes.NETWORK_ERROR ? 'network' : 'media';
}

/** Safari on older phones: the system's own player, which sends the cookie too. */
function attachNative(
  video: HTMLVideoElement,
  address: string,
  startPosition: number,
  fault: (fault: PlayerFault) => void,
): Playback {
  if (video.canPlayType('application/vnd.apple.mpegurl') === '') {
    fault('unsupported');
    return { hls: null, stop: () => undefined };
  }
  const onError = () => fault('media');
  const onMetadata = () => {
    if (startPosition > 0) video.currentTime = startPosition;
  };
  video.addEventListener('error', onError);
  video.addEventListener('loadedmetadata', onMetadata, { once: true });
  video.src = address;
  return {
    hls: null,
    stop: () => {
      video.removeEventListener('error', onError);
      video.removeAttribute('src');
      video.load();
    },
  };
}
