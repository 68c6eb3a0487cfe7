/** The player: a `<video>` and our own native controls on it. */

import { Loader } from '@mantine/core';
import { Play } from 'lucide-react';
import { type KeyboardEvent, type RefObject, useRef, useState } from 'react';
import * as api from '../api/calls';
import type { Asset } from '../api/model';
import { useText } from '../text/TextProvider';
import { Controls } from './Controls';
import { FaultScreen } from './FaultScreen';
import { actionOf } from './keys';
import { ShortcutSheet } from './ShortcutSheet';
import { useCommands } from './useCommands';
import { useIdle } from './useIdle';
import { useMedia } from './useMedia';
import { usePlayback } from './usePlayback';
import { useTracks } from './useTracks';

export function Player({ asset, videoRef }: { asset: Asset; videoRef?: RefObject<HTMLVideoElement | null> }) {
  const { t } = useText();
  const ownRef = useRef<HTMLVideoElement>(null);
  const video = videoRef ?? ownRef;
  const frame = useRef<HTMLElement>(null);
  const media = useMedia(video);
  const playback = usePlayback(video, asset.id);
  const tracks = useTracks(playback.hls);
  const [helpOpen, setHelpOpen] = useState(false);
  const [settingsOpen, setSettingsOpen] = useState(false);
  const idle = useIdle(frame, media.playing && !settingsOpen);
  const commands = useCommands({ video, frame, hls: playback.hls, tracks, help: () => setHelpOpen((open) => !open) });
  const started = media.time > 0 || media.playing;
  const onKeyDown = (event: KeyboardEvent) => {
    const action = actionOf(event);
    if (!action) return;
    event.preventDefault();
    commands.run(action);
  };
  return (
    <section
      ref={frame}
      className="player"
      aria-label={t('player.label', { title: asset.title })}
      data-idle={idle || undefined}
      onKeyDown={onKeyDown}
    >
      <video
        ref={video}
        className="player-video"
        playsInline
        poster={api.posterUrl(asset)}
        onClick={() => commands.run('toggle')}
        onDoubleClick={() => commands.run('fullScreen')}
        tabIndex={-1}
        aria-label={asset.title}
      />
      {playback.fault ? (
        <FaultScreen fault={playback.fault} problem={playback.problem} again={playback.again} />
      ) : (
        <>
          {media.waiting && (
            <div className="player-centre" role="status" aria-label={t('player.waiting')}>
              <Loader color="white" />
            </div>
          )}
          {!started && !media.waiting && (
            <div className="player-centre">
              <button
                type="button"
                className="player-start"
                onClick={() => commands.run('toggle')}
                aria-label={t('player.start', { title: asset.title })}
              >
                <Play size={36} fill="currentColor" aria-hidden="true" />
              </button>
            </div>
          )}
          <Controls
            asset={asset}
            media={media}
            tracks={tracks}
            commands={commands}
            frame={frame}
            settingsOpen={settingsOpen}
            setSettingsOpen={setSettingsOpen}
          />
        </>
      )}
      <ShortcutSheet opened={helpOpen} close={() => setHelpOpen(false)} />
    </section>
  );
}
