import { Popover, Radio, ScrollArea, Stack } from '@mantine/core';
import { Settings } from 'lucide-react';
import type { RefObject } from 'react';
import { useText } from '../text/TextProvider';
import { PlayerButton } from './Controls';
import { type Commands, speeds } from './useCommands';
import type { MediaState } from './useMedia';
import type { Choice, Tracks } from './useTracks';

interface Props {
  media: MediaState;
  tracks: Tracks;
  commands: Commands;
  frame: RefObject<HTMLElement | null>;
  settingsOpen: boolean;
  setSettingsOpen: (open: boolean) => void;
}

/** Quality, speed, audio track and captions. It opens inside the player, so that it is there in full screen too. */
export function SettingsMenu(props: Props) {
  const { t, formats } = useText();
  const { tracks, commands, media } = props;
  // A track without a name of its own is named by its language in the playlist: said here in words.
  const ownName = (choice: Choice) => (choice.name === choice.language ? '' : choice.name);
  const named = (choice: Choice) =>
    ownName(choice) || formats.languageName(choice.language ?? '') || t('track.unnamed');
  const lines = (choice: Choice) => (choice.height ? `${choice.height}p` : formats.bitrate(choice.bitrate ?? 0));
  const now = tracks.qualities.find((quality) => quality.value === tracks.playing);
  const auto = now && tracks.quality === -1 ? t('quality.autoNow', { height: lines(now) }) : t('quality.auto');
  return (
    <Popover
      opened={props.settingsOpen}
      onChange={props.setSettingsOpen}
      position="top-end"
      withinPortal={false}
      trapFocus
      returnFocus
      width={230}
    >
      <Popover.Target>
        <PlayerButton
          label={t('player.settings')}
          icon={<Settings size={20} />}
          act={() => props.setSettingsOpen(!props.settingsOpen)}
        />
      </Popover.Target>
      <Popover.Dropdown aria-label={t('player.settings')} className="player-settings">
        <ScrollArea.Autosize mah="min(50vh, 320px)" type="auto">
          <Stack gap="md" p="xs">
            <Choices
              label={t('player.quality')}
              value={tracks.quality}
              choose={commands.setQuality}
              options={[[-1, auto], ...tracks.qualities.map((one): [number, string] => [one.value, lines(one)])]}
            />
            <Choices
              label={t('player.speed')}
              value={media.speed}
              choose={commands.setSpeed}
              options={speeds.map((speed): [number, string] => [
                speed,
                speed === 1 ? t('speed.normal') : `${formats.number(speed)}×`,
              ])}
            />
            {tracks.audio.length > 1 && (
              <Choices
                label={t('player.audio')}
                value={tracks.audioTrack}
                choose={commands.setAudio}
                options={tracks.audio.map((one): [number, string] => [one.value, named(one)])}
              />
            )}
            {tracks.captions.length > 0 && (
              <Choices
                label={t('player.captions')}
                value={tracks.caption}
                choose={commands.setCaption}
                options={[
                  [-1, t('captions.off')],
                  ...tracks.captions.map((one): [number, string] => [one.value, named(one)]),
                ]}
              />
            )}
          </Stack>
        </ScrollArea.Autosize>
      </Popover.Dropdown>
    </Popover>
  );
}

function Choices(props: {
  label: string;
  value: number;
  choose: (value: number) => void;
  options: [number, string][];
}) {
  return (
    <Radio.Group label={props.label} value={String(props.value)} onChange={(value) => props.choose(Number(value))}>
      <Stack gap={8} mt={6}>
        {props.options.map(([value, label]) => (
          <Radio key={value} value={String(value)} label={label} size="xs" />
        ))}
      </Stack>
    </Radio.Group>
  );
}
