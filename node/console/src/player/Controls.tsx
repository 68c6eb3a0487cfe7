import {
  Captions,
  CaptionsOff,
  CircleQuestionMark,
  Maximize,
  Minimize,
  Pause,
  PictureInPicture2,
  Play,
  RotateCcw,
  Volume1,
  Volume2,
  VolumeX,
} from 'lucide-react';
import type { ComponentPropsWithRef, ReactNode, RefObject } from 'react';
import type { Asset } from '../api/model';
import { clock } from '../text/formats';
import { useText } from '../text/TextProvider';
import { SeekBar } from './SeekBar';
import { SettingsMenu } from './SettingsMenu';
import type { Commands } from './useCommands';
import { useFullScreen } from './useFullScreen';
import type { MediaState } from './useMedia';
import type { Tracks } from './useTracks';

const iconSize = 20;

interface Props {
  asset: Asset;
  media: MediaState;
  tracks: Tracks;
  commands: Commands;
  frame: RefObject<HTMLElement | null>;
  settingsOpen: boolean;
  setSettingsOpen: (open: boolean) => void;
}

/** The bar at the foot of the picture: native buttons and ranges, all named. */
export function Controls(props: Props) {
  const { t } = useText();
  const { media, tracks, commands } = props;
  const fullScreen = useFullScreen(props.frame);
  const pictureInPicture = document.pictureInPictureEnabled === true;
  return (
    <div className="player-controls">
      <SeekBar asset={props.asset} media={media} seek={commands.seek} />
      <div className="player-buttons">
        <PlayButton media={media} toggle={() => commands.run('toggle')} />
        <Volume media={media} commands={commands} />
        <span className="player-time">
          {clock(media.time)} <span aria-hidden="true">/</span> {clock(media.duration)}
        </span>
        <span className="player-gap" />
        <PlayerButton
          label={tracks.caption >= 0 ? t('player.captionsOff') : t('player.captionsOn')}
          icon={tracks.caption >= 0 ? <Captions size={iconSize} /> : <CaptionsOff size={iconSize} />}
          act={() => commands.run('captions')}
          disabled={tracks.captions.length === 0}
          why={t('player.noCaptions')}
          pressed={tracks.caption >= 0}
        />
        <SettingsMenu {...props} />
        <PlayerButton
          className="player-optional"
          label={t('player.help')}
          icon={<CircleQuestionMark size={iconSize} />}
          act={() => commands.run('help')}
        />
        <PlayerButton
          className="player-optional"
          label={t('player.pictureInPicture')}
          icon={<PictureInPicture2 size={iconSize} />}
          act={() => commands.run('pictureInPicture')}
          disabled={!pictureInPicture}
          why={t('player.noPictureInPicture')}
          pressed={media.pictureInPicture}
        />
        <PlayerButton
          label={fullScreen ? t('player.exitFullScreen') : t('player.fullScreen')}
          icon={fullScreen ? <Minimize size={iconSize} /> : <Maximize size={iconSize} />}
          act={() => commands.run('fullScreen')}
        />
      </div>
    </div>
  );
}

function PlayButton({ media, toggle }: { media: MediaState; toggle: () => void }) {
  const { t } = useText();
  if (media.ended) return <PlayerButton label={t('player.replay')} icon={<RotateCcw size={iconSize} />} act={toggle} />;
  return media.playing ? (
    <PlayerButton label={t('player.pause')} icon={<Pause size={iconSize} fill="currentColor" />} act={toggle} />
  ) : (
    <PlayerButton label={t('player.play')} icon={<Play size={iconSize} fill="currentColor" />} act={toggle} />
  );
}

function Volume({ media, commands }: { media: MediaState; commands: Commands }) {
  const { t, formats } = useText();
  const silent = media.muted || media.volume === 0;
  const Icon = silent ? VolumeX : media.volume < 0.5 ? Volume1 : Volume2;
  return (
    <>
      <PlayerButton
        label={silent ? t('player.unmute') : t('player.mute')}
        icon={<Icon size={iconSize} />}
        act={() => commands.run('mute')}
      />
      <input
        type="range"
        className="player-range player-volume"
        min={0}
        max={1}
        step={0.05}
        value={media.muted ? 0 : media.volume}
        aria-label={t('player.volume')}
        aria-valuetext={formats.percent(media.muted ? 0 : media.volume)}
        onChange={(event) => commands.setVolume(Number(event.currentTarget.value))}
      />
    </>
  );
}

interface ButtonProps extends Omit<ComponentPropsWithRef<'button'>, 'onClick'> {
  label: string;
  icon: ReactNode;
  act: () => void;
  /** Why it is disabled. */
  why?: string;
  pressed?: boolean;
}

export function PlayerButton({ label, icon, act, why, pressed, className, ...rest }: ButtonProps) {
  return (
    <button
      {...rest}
      type="button"
      className={`player-button ${className ?? ''}`}
      aria-label={label}
      title={rest.disabled ? why : label}
      aria-pressed={pressed}
      onClick={act}
    >
      {icon}
    </button>
  );
}
